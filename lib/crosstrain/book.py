"""The notebooks as a book: static pages with search and glossary that work without a network.

Sphinx with MyST-NB makes the pages. This module prepares their source from the executed notebooks,
the glossary beside them and the figures; for Sphinx it is also an extension, which draws formulae.
"""

from __future__ import annotations

import base64
import html
import io
import re
import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from crosstrain import paths
from crosstrain.data import figures
from crosstrain.data.views import STRUCTURE
from crosstrain.run import notebooks

GLOSSARY = "glossary.md"
ARCHITECTURE = "add_an_architecture.md"
# The figures of the first page: how the study goes, and what has come of it.
MAP, SUMMARY = "00_start_here__study_map", "00_start_here__summary"
ABOUT_MAP = (
    "How the study goes, with the chapters that show it: from molecules to labelled training sets, "
    "to models of two architectures, to the liquids that they make and the score of each."
)
ABOUT_SUMMARY = (
    "Training sets (rows) by architectures (columns). Blue: liquid score, 0 to 1, how long "
    "the liquid lives times how near it comes to the reference's; dark is good. Orange (300 "
    "K): error of the forces between molecules on the models' own runs, dark is bad. Hatched: "
    "the liquid broke down. White: not run. The frames of a row: boxes packed at random "
    "(`packed`) or moved by a force field (`classical`), more of these as a control "
    "(`classical_more`, or 100 of them), blocks made by hand (`scan`, `molecules`), frames "
    "that a committee of Deep Potential (`dp_iterated`) or MACE models (`mace_iterated`) "
    "chose from its own runs, or all of them (`everything`)."
)
ENTRY = re.compile(r"^- \*\*(.+?)\*\*: (.+?)(?=^- |\Z)", re.MULTILINE | re.DOTALL)
REFERENCE = re.compile(r"^\d+\. (.+?)(?=^\d+\. |\Z)", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"\d{4}, \d+, \w+")  # year, volume and page tell a paper
# A last sentence that leads to the next cell; of one about a panel only its last clause does.
LEAD_IN = re.compile(r"(?<=[.?!])\s+(?!(?:Left|Middle|Right)\b)[^.?!]*:\Z")
LEAD_CLAUSE = re.compile(r",[^,]*:\Z")
INITIALS = re.compile(r"\A(?:\w\.[ -]?)+")
YEAR = re.compile(r"\b(?:19|20)\d{2}\b")
PAGE_IMAGE = re.compile(r'<img [^>]*src="(_images/[^"]+)"[^>]*>')
SAVED = re.compile(r"\w+\.save\(\w+, \"(\w+)\"")
# Where no term is linked: code, formulae, links, headings, tables and HTML.
PROTECTED = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$|\[[^\]]*\]\([^)]*\)|^#.*?$|^\|.*?$|<[^>]*>",
    re.MULTILINE | re.DOTALL,
)
FORMULA_PT = 14
LONGEST_LINE = 28  # characters of a table's cell that are never broken
BOND = re.compile(r"\b[A-Z][a-z]?\d+-[A-Z][a-z]?\d+\b")  # such as C3-H8, never broken either
IN_A_LINE = r'<span class="bond">\g<0></span>'
STRUCTURE_HTML = """\
<figure class="structure"><script type="{kind}">{atoms}</script>
<img src="data:image/png;base64,{still}" alt="{name}"><div class="stage"></div>{slider}
<figcaption>{name}. Drag to turn, scroll to zoom.</figcaption></figure>"""
SLIDER = '<input type="range" min="0" max="{last}" value="0" aria-label="frame">'

SETTINGS: Mapping[str, Any] = {
    "project": "crosstrain",
    "author": "The crosstrain developers",
    "html_title": "crosstrain",
    "extensions": ["myst_nb", "crosstrain.book"],
    "master_doc": "index",
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "myst_enable_extensions": ["dollarmath"],
    "html_theme": "sphinx_book_theme",
    "html_context": {"default_mode": "light"},
    "html_theme_options": {
        "home_page_in_toc": True,
        "navbar_persistent": [],
        "use_download_button": False,
        "use_fullscreen_button": False,
    },
    "html_math_renderer": "drawn",
    "html_static_path": ["_static"],
    "html_css_files": ["style.css"],
    "html_js_files": ["structures.js"],
    "html_copy_source": False,
    "html_show_search_summary": False,  # a page from disk may not fetch another
    "html_show_copyright": False,
    "html_show_sphinx": False,
}


def build() -> Path:
    """Build the book from the executed notebooks and return its first page.

    Raises
    ------
    FileNotFoundError
        If a notebook has not been rendered.
    RuntimeError
        If Sphinx warns of anything: a link that leads nowhere, a formula that cannot be drawn.
    """
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    place = paths.runs() / "book"
    shutil.rmtree(place, ignore_errors=True)
    write_source(place / "source")
    said = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            place / "source",
            None,
            place / "html",
            place / "doctrees",
            "html",
            confoverrides=dict(SETTINGS),
            status=None,
            warning=said,
            warningiserror=True,
            keep_going=True,
        )
        app.build()
    if app.statuscode:
        raise RuntimeError(f"the book has faults:\n{said.getvalue().strip()}")
    return place / "html" / "index.html"


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx how formulae are drawn, and that figures lead to their files."""
    app.add_html_math_renderer("drawn", (_inline, None), (_displayed, None))
    app.connect("html-page-context", _link_figures)
    return {"parallel_read_safe": True}


# --- the source -------------------------------------------------------------------------------


def write_source(folder: Path) -> None:
    """Write everything that Sphinx reads."""
    chapters = {name: _rendered(name) for name in notebooks.names()}
    entries = glossary((paths.notebooks() / GLOSSARY).read_text())
    terms = [term for names in entries for term in names]
    captions = {name: _captions(chapter) for name, chapter in chapters.items()}
    references = _references(chapters)
    first: dict[str, str] = {}
    for name, chapter in chapters.items():
        for term in _link_chapter(chapter, terms):
            first.setdefault(term, name)
        for cell in chapter.cells:
            for output in cell.get("outputs", []):
                _place_structure(output.get("data", {}))
                _link_pages(output.get("data", {}))
                _set_cells(output.get("data", {}))
    pages = {
        "index.md": link_terms(_index(), terms, set()),
        GLOSSARY: _glossary_page(entries, first),
        ARCHITECTURE: link_terms((paths.notebooks() / ARCHITECTURE).read_text(), terms, set()),
        "figures.md": _figures_page(captions),
        "references.md": references,
        "contributing.md": (paths.root() / ".github" / "CONTRIBUTING.md").read_text(),
        "changes.md": (paths.root() / "lib" / "CHANGELOG.md").read_text(),
    }
    for name, chapter in chapters.items():
        pages[f"{name}.ipynb"] = nbformat.writes(chapter)
    for name, text in pages.items():
        paths.write_atomically(folder / name, text.encode())
    shutil.copytree(paths.root() / "figures", folder / "figures")
    static = ("style.css", "structures.js")
    for name in static:
        content = (paths.root() / "lib" / "book" / name).read_bytes()
        paths.write_atomically(folder / "_static" / name, content)
    paths.write_atomically(folder / "_static" / "ngl.js", _ngl().encode())


def _rendered(name: str) -> NotebookNode:
    path = paths.notebooks() / f"{name}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(
            f"notebooks/{name}.ipynb is missing; run 'crosstrain render {name}'"
        )
    return nbformat.read(path, as_version=4)


def _ngl() -> str:
    """The NGL library out of nglview's widget, made known to a page as ``NGL``."""
    files = metadata.files("nglview") or []
    (bundle,) = (f for f in files if f.match("nbextensions/nglview-js-widgets/index.js"))
    text = Path(bundle.locate()).read_text()
    inner = "var NGL = __webpack_require__("
    if inner not in text:
        raise RuntimeError("nglview: its bundle is not the known one; pin the locked version")
    text = text.replace(inner, "var NGL = window.NGL = __webpack_require__(", 1)
    return re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)


def _place_structure(data: dict[str, str]) -> None:
    """Turn the atoms of an output, if there are any, into HTML with its still picture."""
    atoms = data.pop(STRUCTURE, None)
    if atoms is None:
        return
    last = atoms.count("\nENDMDL") - 1
    data["text/html"] = STRUCTURE_HTML.format(
        kind=STRUCTURE,
        atoms=atoms,
        still=data.pop("image/png"),
        name=html.escape(data["text/plain"]),
        slider=SLIDER.format(last=last) if last else "",
    )


def _link_pages(data: dict[str, str]) -> None:
    """Let links of printed Markdown lead to pages; those of text cells are Sphinx's work."""
    if "text/markdown" in data:
        data["text/markdown"] = re.sub(r"\((\w+)\.ipynb\)", r"(\1.html)", data["text/markdown"])


def _link_figures(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Let each figure of a page lead to its file, to be seen at its full size."""
    if "body" in context:
        context["body"] = PAGE_IMAGE.sub(r'<a class="figure" href="\1">\g<0></a>', context["body"])


def _set_cells(data: dict[str, str]) -> None:
    """Keep short cells of a table in a line, and long ones from being squeezed."""

    def cell(match: re.Match[str]) -> str:
        if len(match[1]) > LONGEST_LINE:
            return f'<td class="long">{BOND.sub(IN_A_LINE, match[1])}</td>'
        return f"<td>{match[1].replace(' ', '&nbsp;')}</td>"

    if 'class="dataframe"' in data.get("text/html", ""):
        data["text/html"] = re.sub(r"<td>([^<]*)</td>", cell, data["text/html"])


# --- terms ------------------------------------------------------------------------------------


def glossary(text: str) -> dict[tuple[str, ...], str]:
    """Return the explanation of each term, with its other names, from a list of entries.

    Raises
    ------
    ValueError
        If a term is explained twice, or there is none.
    """
    found = {tuple(m[1].split("; ")): " ".join(m[2].split()) for m in ENTRY.finditer(text)}
    terms = [term.lower() for names in found for term in names]
    twice = sorted({term for term in terms if terms.count(term) > 1})
    if twice or not terms:
        raise ValueError(f"{GLOSSARY}: explained twice: {twice}" if twice else f"{GLOSSARY}: empty")
    return found


def link_terms(text: str, terms: Sequence[str], seen: set[str]) -> str:
    """Link the first use of each term that is not in `seen`, and add it there.

    Parameters
    ----------
    text : str
        Markdown; headings, code, formulae, tables and links are left alone.
    terms : sequence of str
        Longer ones win over those inside them.
    seen : set of str
        Terms that are linked already.
    """
    taken = [match.span() for match in PROTECTED.finditer(text)]
    links = []
    for term in sorted(set(terms), key=len, reverse=True):
        spelled = r"\s+".join(map(re.escape, term.split()))
        for use in re.finditer(rf"\b{spelled}s?\b", text, flags=re.IGNORECASE):
            if any(start < use.end() and use.start() < end for start, end in taken):
                continue
            taken.append(use.span())  # linked or not, no shorter term is meant there
            if term not in seen:
                seen.add(term)
                links.append((use, term))
    for use, term in sorted(links, key=lambda link: link[0].start(), reverse=True):
        link = f"{{term}}`{' '.join(use[0].split())} <{term}>`"
        text = text[: use.start()] + link + text[use.end() :]
    return text


def _link_chapter(chapter: NotebookNode, terms: Sequence[str]) -> set[str]:
    seen: set[str] = set()
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            text, mark, references = cell.source.partition("## References")
            cell.source = link_terms(text, terms, seen) + mark + references
    return seen


# --- pages ------------------------------------------------------------------------------------


def _index() -> str:
    text = (paths.root() / "lib" / "book" / "index.md").read_text()
    rows = [f"| [{title}]({name}.ipynb) | {question} |" for name, title, question in _contents()]
    table = "\n".join(["| chapter | its question |", "|:--|:--|", *rows])
    entries = [f"{title} <{name}>" for name, title, _ in _contents()]
    rest = ["add_an_architecture", "figures", "glossary", "references", "contributing", "changes"]
    summary = ""
    if {MAP, SUMMARY} <= figures.read_manifest(paths.root() / "figures").keys():
        summary = (
            f"![From molecules to a scored liquid](figures/{MAP}.png)\n\n{ABOUT_MAP}\n\n"
            f"![The study and what is stored of it](figures/{SUMMARY}.png)\n\n{ABOUT_SUMMARY}"
        )
    return (
        text.replace("<!-- summary -->", summary).replace("<!-- chapters -->", table)
        + _toctree("Chapters", entries)
        + _toctree("Look up", rest)
    )


def _contents() -> list[tuple[str, str, str]]:
    return [(name, f"{name[:2]} {title}", q) for name, title, q in notebooks.contents()]


def _toctree(caption: str, entries: Sequence[str]) -> str:
    return "\n".join(
        ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```\n"]
    )


def _glossary_page(entries: Mapping[tuple[str, ...], str], first: Mapping[str, str]) -> str:
    lines = ["# Glossary", "", "```{glossary}"]
    for names, text in sorted(entries.items(), key=lambda entry: entry[0][0].lower()):
        where = sorted(first[name] for name in names if name in first)
        used = f" First used in [{where[0]}]({where[0]}.ipynb)." if where else ""
        lines += [*names, f"  {text}{used}", ""]
    return "\n".join([*lines, "```", ""])


def _captions(chapter: NotebookNode) -> dict[str, str]:
    """Return what the next text after each figure of a chapter says first, without a lead-in."""
    found, drawn = {}, []
    for cell in chapter.cells:
        if cell.cell_type == "code":
            drawn += SAVED.findall(cell.source)
        else:
            text = "" if cell.source.startswith("#") else cell.source.partition("\n\n")[0]
            found |= dict.fromkeys(drawn, LEAD_CLAUSE.sub(".", LEAD_IN.sub("", text)))
            drawn = []
    return found


def _figures_page(captions: Mapping[str, Mapping[str, str]]) -> str:
    lines = ["# Figures", "", "All figures of all chapters; each is also stored as PDF.", ""]
    manifest = figures.read_manifest(paths.root() / "figures")
    for name, title, _ in _contents():
        lines += [f"## [{title}]({name}.ipynb)", ""]
        for stem in (stem for stem, entry in manifest.items() if entry["notebook"] == name):
            what = stem.partition("__")[2]
            pdf = f"{{download}}`PDF <figures/{stem}.pdf>`"
            said = captions[name].get(what, "")
            alt = what.replace("_", " ")
            lines += [f"![{alt}](figures/{stem}.png)", "", f"**{alt}** ({pdf}). {said}", ""]
    return "\n".join(lines)


def _references(chapters: Mapping[str, NotebookNode]) -> str:
    """The page of all references, each once, with the chapters that cite it."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, chapter in chapters.items():
        for cell in chapter.cells:
            section = cell.source.partition("## References\n")[2].partition("\n## ")[0]
            for match in REFERENCE.finditer(section.strip() + "\n"):
                text = " ".join(match[1].split())
                place = PLACE.search(text)
                found.setdefault(place[0] if place else text, (text, []))[1].append(name)
    lines = ["# References", ""]
    for text, names in sorted(found.values(), key=lambda entry: _author_and_year(entry[0])):
        links = ", ".join(f"[{name[:2]}]({name}.ipynb)" for name in dict.fromkeys(names))
        lines += [f"- {text} Cited in {links}."]
    return "\n".join([*lines, ""])


def _author_and_year(text: str) -> tuple[str, str]:
    """Return by what a reference is ordered: its first author's surname and, if told, its year."""
    year = YEAR.search(text)
    return re.split(r",| et al", INITIALS.sub("", text))[0].casefold(), year[0] if year else "~"


# --- formulae ---------------------------------------------------------------------------------


def _inline(translator: Any, node: Any) -> None:
    _draw(translator, node, "span")


def _displayed(translator: Any, node: Any) -> None:
    _draw(translator, node, "p")


def _draw(translator: Any, node: Any, tag: str) -> None:
    """Put a formula into the page as an image with its LaTeX as text."""
    from docutils.nodes import SkipNode
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import math_to_image

    formula, content = " ".join(node.astext().split()), io.BytesIO()
    size = FontProperties(size=FORMULA_PT)
    depth_pt = math_to_image(f"${formula}$", content, prop=size, format="svg", dpi=72)
    source = base64.b64encode(content.getvalue()).decode()
    translator.body.append(
        f'<{tag} class="formula"><img class="formula" alt="{html.escape(formula)}" '
        f'src="data:image/svg+xml;base64,{source}" style="--depth: {-depth_pt:.1f}pt"></{tag}>'
    )
    raise SkipNode
