"""The book: terms and captions are found, and every page works from disk without a network."""

import ast
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import jupytext
import nbformat
import pytest
from crosstrain import book, paths
from crosstrain.potentials import gap
from crosstrain.run import notebooks

PATIENCE_MS = 180_000  # WebGL by software is slow on a busy machine
# Widths of figures that have the pixels for 1000, and the beginnings of outputs that are cut off.
SHOWN_PX = """[...document.querySelectorAll('a.figure img')]
  .filter(i => i.naturalWidth >= 1000).map(i => i.getBoundingClientRect().width)"""
CUT_OFF = """[...document.querySelectorAll('.cell_output pre, .cell_output .output')]
  .filter(e => e.scrollWidth > e.clientWidth + 1
    && (e.matches('pre') || getComputedStyle(e).overflowX != 'auto'))
  .map(e => e.textContent.trim().slice(0, 80))
  .concat(document.documentElement.scrollWidth > innerWidth ? ['the page'] : [])"""
TERMS = ["conformer", "test set", "set"]


def entries() -> dict[tuple[str, ...], str]:
    return book.glossary((paths.notebooks() / book.GLOSSARY).read_text())


# --- terms ------------------------------------------------------------------------------------


def test_the_first_use_of_a_term_is_linked_once():
    text = book.link_terms("Two Conformers,\nthen a conformer.", TERMS, seen := set())
    assert text == "Two {term}`Conformers <conformer>`,\nthen a conformer."
    assert seen == {"conformer"}
    assert book.link_terms("a conformer", TERMS, seen) == "a conformer"


def test_a_longer_term_wins_and_may_break_over_lines():
    text = book.link_terms("on a test\nset of a set", TERMS, set())
    assert text == "on a {term}`test set <test set>` of a {term}`set <set>`"


def test_a_term_is_not_linked_inside_a_longer_one_that_is_linked_already():
    text = book.link_terms("a test set, then a test set and a set", TERMS, {"test set"})
    assert text == "a test set, then a test set and a {term}`set <set>`"
    text = book.link_terms("an offset, a conformer's set, Sets", TERMS, set())
    assert text.count("{term}") == 2


@pytest.mark.parametrize(
    "text", ["## A set", "`set`", "[a set](x.md)", "$set$", "| set |", "```\nset\n```", "offset"]
)
def test_headings_code_links_formulae_and_other_words_are_left_alone(text):
    assert book.link_terms(text, TERMS, set()) == text


def test_glossary_reads_names_and_refuses_a_second_explanation():
    found = book.glossary("# G\n\n- **a; b c**: First\n  line.\n- **d**: Second.\n")
    assert found == {("a", "b c"): "First line.", ("d",): "Second."}
    with pytest.raises(ValueError, match=r"explained twice: \['a'\]"):
        book.glossary("- **a**: One.\n- **A**: Two.\n")
    with pytest.raises(ValueError, match="empty"):
        book.glossary("# Glossary\n")


def test_every_entry_of_the_glossary_is_used_by_a_chapter():
    linked = set()
    for name in notebooks.names():
        linked |= book._link_chapter(book._rendered(name), [t for ts in entries() for t in ts])
    assert [names for names in entries() if not linked & set(names)] == []


def test_a_number_and_its_error_stay_in_a_line():
    long = "a sentence that is longer than a line may be, C3-H8 broken"
    cells = f"<td>1.0 ± 0.2</td><td>{long}</td>"
    data = {"text/html": f'<table class="dataframe"><tr>{cells}</tr></table>'}
    book._set_cells(data)
    kept = f'<td>1.0&nbsp;±&nbsp;0.2</td><td class="long">{long}</td>'.replace(
        "C3-H8", '<span class="bond">C3-H8</span>'
    )
    assert data == {"text/html": f'<table class="dataframe"><tr>{kept}</tr></table>'}


@pytest.mark.parametrize("name", notebooks.names())
def test_every_saved_figure_is_followed_by_a_caption(name):
    """A sentence about the figure, that is: neither missing nor a lead-in to what comes next."""
    text = jupytext.read(notebooks.twin(name), fmt="py:percent")
    captions = book._captions(text)
    files = text.cells[0].source.partition("**Files made.**")[2]
    named = set(re.findall(r"`(?:\w+?)?__(\w+)`", files))
    assert captions
    assert set(captions) == named
    assert [figure for figure, said in captions.items() if not said or said.endswith(":")] == []


def test_a_lead_in_to_the_next_cell_is_no_part_of_a_caption():
    cells = [
        nbformat.v4.new_code_cell('study.save(fig, "a")'),
        nbformat.v4.new_markdown_cell("A point each:\nlook. Now in\nnumbers:\n\nMore."),
    ]
    found = book._captions(nbformat.v4.new_notebook(cells=cells))
    assert found == {"a": "A point each:\nlook."}
    cells[1].source = "Left: a. Right: $b$ of\nall, in numbers:"
    found = book._captions(nbformat.v4.new_notebook(cells=cells))
    assert found == {"a": "Left: a. Right: $b$ of\nall."}


def test_the_summary_is_explained_alike_in_the_readme():
    readme = " ".join((paths.root() / "README.md").read_text().split())
    assert book.ABOUT_SUMMARY in readme


def test_references_are_ordered_by_first_author_and_year():
    ordered = [
        "I. Batatia, D. P. Kovács, *NeurIPS* 2022: MACE.",
        "I. Batatia et al., arXiv:2401.00096.",
        "S. Wang, J. Witek, *J. Chem. Inf. Model.* 2020, 60, 2044.",
        "Wang et al. 2022, doi 10.1016/x: densities.",
        "I.-C. Yeh, G. Hummer, *J. Phys. Chem. B* 2004, 108, 15873.",
    ]
    assert sorted(reversed(ordered), key=book._author_and_year) == ordered


def test_a_chapter_that_was_not_rendered_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"01_x\.ipynb is missing; run 'crosstrain render"):
        book._rendered("01_x")


def test_a_link_that_leads_nowhere_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path)
    (tmp_path / book.GLOSSARY).write_text("- **liquid**: What flows.\n")
    (tmp_path / book.ARCHITECTURE).write_text("# Add\n")
    text = "# Title\n\n**Question.** A liquid?\n\n[gone](09_gone.ipynb), $\\frac{1}{2}$"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    (tmp_path / "text").mkdir()
    jupytext.write(notebook, tmp_path / "text" / "01_x.py", fmt="py:percent")
    nbformat.write(notebook, tmp_path / "01_x.ipynb")
    with pytest.raises(RuntimeError, match="09_gone"):
        book.build()


# --- the page on a new architecture ------------------------------------------------------------


def excerpts(language: str) -> list[str]:
    text = (paths.notebooks() / book.ARCHITECTURE).read_text()
    return re.findall(rf"^```{language}\n(.+?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_walk_through_an_architecture_is_that_of_its_file():
    """Every excerpt is there, in the order of the file, and no part of it is passed over."""
    source = Path(gap.__file__).read_text()
    places = [source.find(excerpt) for excerpt in excerpts("python")]
    assert len(places) > 3
    assert -1 not in places
    assert places == sorted(places)
    text = (paths.notebooks() / book.ARCHITECTURE).read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert re.search(rf"`{node.name}`|(def|class) {node.name}\b", text), node.name


def test_what_else_the_change_touches_is_there():
    added = re.compile(r"^\+\+\+ b/(.+)\n((?:\+(?!\+\+ ).*\n)+)", re.MULTILINE)
    changes = [change for excerpt in excerpts("diff") for change in added.findall(excerpt)]
    assert changes
    for file, lines in changes:
        there = (paths.root() / file).read_text().splitlines()
        assert {line[1:] for line in lines.splitlines()} <= set(there), file


def test_the_tests_that_the_walk_names_are_there():
    text = (paths.notebooks() / book.ARCHITECTURE).read_text()
    tests = (paths.root() / "tests" / "test_potentials.py").read_text()
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in tests] == []


# --- in a browser -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of the book, built in a folder of this test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSTRAIN_RUNS", str(tmp_path_factory.mktemp("runs")))
        first = book.build()
    return sorted(first.parent.glob("*.html"))


def test_the_book_is_whole_and_small(pages):
    names = {page.stem for page in pages}
    assert {*notebooks.names(), "index", "figures", "glossary", "references", "search"} <= names
    files = [file for file in pages[0].parent.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 60e6
    sizes = {n: (paths.notebooks() / f"{n}.ipynb").stat().st_size for n in notebooks.names()}
    assert {name: size for name, size in sizes.items() if size > 1.5e6} == {}


def test_every_page_works_from_disk(pages, browser):
    """No console error, nothing asked of a network, every image shown, every link resolved."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE_MS)
    found, links, ids = [], {}, {}
    for path in pages:
        page, name = context.new_page(), path.name
        page.on("console", lambda m, n=name: m.type == "error" and found.append((n, m.text)))
        page.on("pageerror", lambda error, n=name: found.append((n, str(error))))
        page.on("request", lambda r, n=name: r.url.startswith("http") and found.append((n, r.url)))
        page.goto(path.as_uri())
        for image in page.locator("img").all():
            if not image.evaluate("i => i.decode().then(() => i.naturalWidth > 0, () => false)"):
                found.append((name, f"no image {image.get_attribute('alt')}"))
        links[name] = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
        ids[path] = set(page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
        page.close()
    context.close()
    for name, targets in links.items():
        for target, anchor in (urldefrag(t) for t in targets if t.startswith("file:")):
            file = pages[0].parent / unquote(urlsplit(target).path)
            if not file.is_file():
                found.append((name, f"no file {target}"))
            elif anchor and file in ids and unquote(anchor) not in ids[file]:
                found.append((name, f"no place {anchor} in {file.name}"))
    assert found == []


@pytest.mark.parametrize("width", [1400, 1920])
def test_figures_are_shown_large_and_outputs_are_not_cut_off(pages, browser, width):
    """A wide figure has 1000 px or more; only tables may be wider than their box, and scroll."""
    context = browser.new_context(viewport={"width": width, "height": 1000})
    context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    context.set_default_timeout(PATIENCE_MS)
    page, figures, cut = context.new_page(), [], []
    for path in pages:
        page.goto(path.as_uri())
        figures += page.evaluate(SHOWN_PX)
        cut += [(path.name, text) for text in page.evaluate(CUT_OFF)]
    context.close()
    assert len(figures) > 40
    assert min(figures) >= 1000
    assert cut == []


def test_search_finds_a_word_of_the_text(pages, browser):
    page = browser.new_page()
    page.goto(f"{(pages[0].parent / 'search.html').as_uri()}?q=conformers")
    hit = page.locator("#search-results a", has_text=re.compile("Build liquids"))
    hit.first.wait_for(timeout=30_000)
    page.close()


def test_a_structure_is_drawn_and_can_be_turned(pages, browser, wait_for_drawing):
    page = browser.new_page()
    page.goto((pages[0].parent / "00_start_here.html").as_uri())
    figure = page.locator("figure.structure.alive").first
    stage = figure.locator("canvas")
    stage.scroll_into_view_if_needed(timeout=PATIENCE_MS)
    before = wait_for_drawing(page, stage)
    box = stage.bounding_box()
    centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*centre)
    page.mouse.down()
    page.mouse.move(centre[0] + 80, centre[1] + 40, steps=5)
    page.mouse.up()
    page.wait_for_timeout(2000)
    assert stage.screenshot() != before
    assert not figure.locator("img").is_visible()
    page.close()


def test_without_webgl_the_still_picture_stays(pages, browser):
    page = browser.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto((pages[0].parent / "00_start_here.html").as_uri())
    assert page.locator("figure.structure img").first.is_visible()
    assert page.locator("figure.structure.alive").count() == 0
    page.close()
