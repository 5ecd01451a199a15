"""The trade's words in other languages, in plain letters, by what they mean."""

from typing import Final

FIELDS: Final = {
    "cart": "warenkorb korb panier carrito carrello carrinho winkelwagen winkelmand cesta kosz koszyk "
    "varukorg kurv indkobskurv handlekurv kosik sepet",
    "user": "kunde kunden cliente klant usuario utente gebruiker benutzer nutzer utilisateur kund "
    "bruger bruker klient uzytkownik uzivatel musteri",
    "anonymous": "besucher visiteur visitante visitatore bezoeker besokare odwiedzajacy",
    "session": "sitzung sesion sessione sessie sessao seance sesja relace oturum",
    "quantity": "quantite menge anzahl cantidad quantita quantidade aantal hoeveelheid antal antall ilosc "
    "mnozstvi adet",
    "product": "produkt artikel produit producto prodotto produto varu vare towar zbozi urun",
    "currency": "devise waehrung wahrung moneda moeda valuta munt divisa monnaie waluta mena",
    "order": "bestellung commande pedido ordine bestelling auftrag ordre bestelnummer ordernummer "
    "bestellnummer zamowienie objednavka siparis bestall encomenda",
    "items": "positionen lignes articulos articoli regels artikelen produkter varor varer produtos "
    "prodotti productos produits producten pozycje produkty",
    "coupon": "gutschein cupon buono kortingscode rabattkod rabattkode kupon bon cupom",
    "name": "nom nombre nome naam bezeichnung navn namn nazwa nazev titel titre titulo titolo",
    "category": "kategorie categorie categoria kategori kategoria",
    "brand": "marke marque marca merk marke marka varumerke znacka",
    "price": "preis prix precio prezzo preco prijs pris cena stukprijs stuckpreis einzelpreis",
    "amount": "montant betrag summe importe importo bedrag totaal gesamt totaalbedrag gesamtbetrag belopp "
    "belob kwota summa castka tutar totale",
    "discount": "rabatt remise descuento sconto korting desconto rabat sleva",
    "id": "nummer numero kennung identifiant identificador identificativo",
    "time": "zeit zeitpunkt zeitstempel heure horodatage fecha hora data ora tijd tijdstip tidpunkt tidspunkt czas",
    "event": "ereignis evenement evento gebeurtenis handelse haendelse zdarzenie",
    "type": "typ tipo soort art",
}

TYPES: Final = {
    "add": "hinzugefugt ajoute anadido agregado aggiunto aggiunta toegevoegd adicionado lagd tillagd "
    "tilfojet dodano pridano",
    "remove": "entfernt supprime retire eliminado rimosso verwijderd removido borttagen fjernet usunieto odebrano",
    "view": "angesehen betrachtet aufgerufen consulte visto vista bekeken visualizzato visualizzata "
    "visualizado visualizada vu affiche visad vist obejrzano wyswietlono zobrazeno visionato",
    "start": "begonnen gestartet commence iniciado iniziato iniciada iniziata demarre paborjad startad "
    "startet rozpoczeto",
    "complete": "abgeschlossen termine completado completato voltooid completada completata effettuato "
    "finalizado concluido concluida slutford gennemfort afgerond geplaatst fullfort zlozono",
    "enter": "eingegeben inserito saisi introducido ingresado ingevoerd inserido angiven indtastet wprowadzono",
    "order": "bestellung commande pedido ordine bestelling kauf achat compra acquisto bestallning ordre "
    "zamowienie aankoop encomenda",
    "cart": "warenkorb panier carrito carrello winkelwagen carrinho varukorg kurv koszyk",
    "product": "produkt artikel produit producto prodotto produto vare",
    "page": "seite pagina sida side strona stranka",
    "checkout": "kasse kassa caisse cassa caja",
    "coupon": "gutschein cupon buono kortingscode rabattkod kupon cupom",
    "search": "gesucht recherche buscado cercato gezocht",
    "list": "liste lista lijst",
}
