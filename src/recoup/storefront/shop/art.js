/* The products, drawn. Each is a 200 × 200 picture; colours of the ground come from the style sheet. */

const DRAWINGS = {
  mug: `
    <ellipse cx="96" cy="158" rx="58" ry="8" fill="#0002"/>
    <path d="M134 84h14a20 20 0 0 1 0 44h-16" fill="none" stroke="#c9b79c" stroke-width="11"/>
    <path d="M52 66h88v66a24 24 0 0 1-24 24H76a24 24 0 0 1-24-24z" fill="#e9dcc6"/>
    <path d="M52 66h88v18c-16 12-30-4-44 4s-30 8-44-2z" fill="#b98f64"/>
    <ellipse cx="96" cy="66" rx="44" ry="9" fill="#8a6242"/><ellipse cx="96" cy="67" rx="36" ry="6" fill="#3f2a1c"/>
    <path d="M80 48c-6-8 6-12 0-22M100 46c-6-8 6-12 0-22" fill="none" stroke="#fff9" stroke-width="4" stroke-linecap="round"/>`,
  notebook: `
    <path d="M58 164l84-10 6 8-82 10z" fill="#0002"/>
    <g transform="rotate(-7 100 100)"><rect x="56" y="36" width="92" height="126" rx="6" fill="#f7f3ea"/>
    <rect x="50" y="32" width="92" height="126" rx="6" fill="#4f6f8f"/><rect x="50" y="32" width="16" height="126" rx="6" fill="#3d5873"/>
    <rect x="82" y="58" width="44" height="26" rx="3" fill="#f2ead8"/><path d="M90 67h28M90 75h18" stroke="#8a7f6a" stroke-width="3"/>
    <path d="M128 32v126" stroke="#d98e5f" stroke-width="5"/><path d="M100 158v18l5-6 5 6v-18z" fill="#d98e5f"/></g>`,
  candle: `
    <ellipse cx="100" cy="164" rx="54" ry="8" fill="#0002"/>
    <ellipse cx="100" cy="52" rx="40" ry="38" fill="#fff3" /><path d="M100 26c14 18 12 30 0 36-12-6-14-18 0-36z" fill="#f6a93b"/>
    <path d="M100 40c6 9 5 16 0 20-5-4-6-11 0-20z" fill="#fff2c4"/><path d="M100 58v16" stroke="#4a3a26" stroke-width="4"/>
    <path d="M66 78h68v84H66z" fill="#e8b652"/><path d="M66 78h68v14c-8 10-14 2-18 10s-12 6-16-4-12 8-18 2-12-2-16-8z" fill="#f4d28a"/>
    <ellipse cx="100" cy="78" rx="34" ry="7" fill="#f9e2ab"/><ellipse cx="100" cy="162" rx="34" ry="7" fill="#c9953a"/>`,
  planter: `
    <ellipse cx="100" cy="168" rx="50" ry="7" fill="#0002"/>
    <path d="M100 108C98 80 84 58 62 50c0 28 14 46 38 58z" fill="#4f8a5b"/><path d="M100 108c2-34 14-58 44-70 4 32-12 58-44 70z" fill="#67a56f"/>
    <path d="M100 110C92 70 96 44 104 26c12 24 12 56-4 84z" fill="#3d7549"/>
    <path d="M58 104h84v18H58z" fill="#c86f49"/><path d="M64 122h72l-10 46H74z" fill="#b45f3c"/><path d="M64 122h72l-2 8H66z" fill="#0002"/>`,
  kettle: `
    <ellipse cx="104" cy="164" rx="58" ry="7" fill="#0002"/>
    <path d="M66 128c-26-4-30-40-44-62" fill="none" stroke="#2f3a3d" stroke-width="8" stroke-linecap="round"/>
    <path d="M146 86c34-4 34 58-4 58" fill="none" stroke="#a9713f" stroke-width="10" stroke-linecap="round"/>
    <path d="M70 78h68l14 84H56z" fill="#3d4b4f"/><path d="M70 78h20L80 162H56z" fill="#5a6b70"/>
    <path d="M76 66h56l6 12H70z" fill="#2f3a3d"/><circle cx="104" cy="58" r="8" fill="#a9713f"/>`,
  blanket: `
    <ellipse cx="100" cy="166" rx="66" ry="7" fill="#0002"/>
    <rect x="36" y="120" width="128" height="42" rx="18" fill="#b5566a"/><rect x="40" y="84" width="122" height="42" rx="18" fill="#cf7a86"/>
    <rect x="44" y="50" width="114" height="40" rx="18" fill="#e2a0a3"/>
    <path d="M60 50v40M80 50v40M120 50v40M140 50v40M62 84v42M138 84v42" stroke="#fff6" stroke-width="5"/>`,
  lamp: `
    <ellipse cx="92" cy="168" rx="52" ry="7" fill="#0002"/><path d="M86 64l46 22 44 76H62z" fill="#fff3"/>
    <path d="M84 160L60 102l58-52" fill="none" stroke="#2f3a3d" stroke-width="8" stroke-linejoin="round"/><circle cx="60" cy="102" r="8" fill="#a9713f"/>
    <path d="M102 34l44 30-14 22c-22 4-46-12-52-30z" fill="#14594a"/><path d="M80 56c6 18 30 34 52 30l-8 8c-20 2-40-12-46-30z" fill="#ffe3a0"/>
    <rect x="52" y="156" width="66" height="12" rx="6" fill="#2f3a3d"/>`,
  backpack: `
    <ellipse cx="100" cy="170" rx="56" ry="7" fill="#0002"/>
    <path d="M76 46c0-26 48-26 48 0" fill="none" stroke="#3d4a35" stroke-width="8"/>
    <path d="M54 84c0-56 92-56 92 0v76a10 10 0 0 1-10 10H64a10 10 0 0 1-10-10z" fill="#6b7d55"/>
    <path d="M54 84c0-56 92-56 92 0v10c-28 14-64 14-92 0z" fill="#586946"/>
    <rect x="68" y="116" width="64" height="40" rx="8" fill="#586946"/><path d="M68 130h64" stroke="#3d4a35" stroke-width="4"/>
    <path d="M78 90v36M122 90v36" stroke="#a9713f" stroke-width="8"/><path d="M73 104h10M117 104h10" stroke="#e9c98f" stroke-width="6"/>`,
};

/** The picture of a product, as an element that screen readers pass over: its name stands beside it. */
export function drawing(product) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 200 200");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `art ${product.tone}`);
  svg.innerHTML = DRAWINGS[product.product_id];
  return svg;
}
