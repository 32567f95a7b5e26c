// Builds elements; text only ever becomes text nodes, so no data can turn into markup.
const SVG = "http://www.w3.org/2000/svg";

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  return filled(element, properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Replaces a section only where it differs, so that selections, focus and pictures stay.
export function show(id, ...children) {
  const section = document.getElementById(id);
  const next = children.flat(3).filter(Boolean);
  const same = section.childNodes.length === next.length;
  if (!same) {
    section.replaceChildren(...next);
    return section;
  }
  next.forEach((node, index) => {
    const old = section.childNodes[index];
    if (!old.isEqualNode(node)) old.replaceWith(node);
  });
  return section;
}

// A bar whose width is set by script: the page's policy allows no style attributes.
export function bar(ratio, level) {
  const fill = h("i");
  fill.style.width = `${Math.max(0, Math.min(1, ratio)) * 100}%`;
  return h("div", { class: "bar", "data-level": level, "aria-hidden": "true" }, fill);
}
