"""The trade's words in other languages, in plain letters, by what they mean."""

from typing import Final

FIELDS: Final = {
    "cart": "warenkorb korb panier carrito carrello carrinho winkelwagen",
    "user": "kunde kunden cliente klant usuario utente",
    "session": "sitzung sesion sessione sessie sessao",
    "quantity": "quantite menge anzahl cantidad quantita quantidade aantal",
    "product": "produkt artikel produit producto prodotto produto",
    "currency": "devise waehrung wahrung moneda moeda valuta",
    "order": "bestellung commande pedido ordine bestelling auftrag",
    "items": "positionen lignes articulos articoli",
    "coupon": "gutschein cupon buono",
    "name": "nom nombre nome naam bezeichnung",
    "category": "kategorie categorie categoria",
    "brand": "marke marque marca merk",
    "price": "preis prix precio prezzo preco prijs",
    "amount": "montant betrag summe importe importo bedrag",
}
TYPES: Final = {
    "add": "hinzugefugt ajoute anadido agregado aggiunto toegevoegd",
    "remove": "entfernt supprime retire eliminado rimosso verwijderd",
    "view": "angesehen betrachtet aufgerufen consulte visto bekeken",
    "start": "begonnen gestartet commence iniciado iniziato",
    "complete": "abgeschlossen termine completado completato voltooid",
    "order": "bestellung commande pedido ordine bestelling kauf achat compra acquisto",
    "cart": "warenkorb panier carrito carrello winkelwagen",
    "product": "produkt artikel produit producto prodotto",
    "page": "seite pagina",
}
