"""The layout and the import rules, read from the source: one direction, every library in its home."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("crawlers", "pipeline", "flows", "storage")
NOT_IMPORTABLE = ("bench", "docs", "tests")

ALLOWED: dict[str, tuple[str, ...]] = {
    "storage": ("storage",),
    "pipeline": ("pipeline", "storage.schema", "storage.errors"),
    "crawlers": ("crawlers", "storage", "pipeline.decode", "pipeline.extract", "pipeline.minhash", "pipeline.tokens"),
    "flows": ("flows", "crawlers", "pipeline", "storage"),
}
HOMES: dict[str, tuple[str, ...]] = {
    "prefect": ("flows/",),
    "scrapy": ("crawlers/scrapy_addon.py",),
    "aiohttp": ("crawlers/", "flows/"),
    "trafilatura": ("pipeline/",),
    "datasketch": ("pipeline/",),
    "duckdb": ("storage/", "pipeline/dedup/", "pipeline/__init__.py"),
    "obstore": ("storage/",),
    "tantivy": ("storage/",),
}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; `from a.b import c` gives a.b.c for our rooms."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_its_rule_allows(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(room)
        for name in imports(path)
        if name.split(".")[0] in (*ROOMS, *NOT_IMPORTABLE)
        and not any(name == prefix or name.startswith(prefix + ".") for prefix in ALLOWED[room])
    ]

    assert wrong == []


def test_every_library_stays_at_home() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for room in ROOMS
        for path in sources(room)
        for name in imports(path)
        if name.split(".")[0] in HOMES
        and not any(path.relative_to(ROOT).as_posix().startswith(home) for home in HOMES[name.split(".")[0]])
    ]

    assert wrong == []


def test_every_import_is_declared() -> None:
    """What the rooms import is a direct dependency in pyproject.toml, and every dependency is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {_bare(line) for line in project["dependencies"]}
    owners = packages_distributions()
    used = {
        _bare(owners[top][0])
        for room in ROOMS
        for path in sources(room)
        for top in {name.split(".")[0] for name in imports(path)}
        if top not in ROOMS and top not in sys.stdlib_module_names
    }

    assert used - declared == set()
    # A bound for Prefect; found by aiohttp itself; its version is part of every recipe, for it defines our MinHash.
    assert declared - used - {"fastapi", "aiodns", "datasketch"} == set()


def _bare(requirement: str) -> str:
    name = requirement.split(";")[0]
    for mark in "<>=![ ":
        name = name.split(mark)[0]
    return name.strip().lower().replace("_", "-")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_a_typed_package_from_this_checkout_with_a_readme(room: str) -> None:
    spec = find_spec(room)

    assert spec is not None
    assert spec.origin == str(ROOT / room / "__init__.py")
    assert (ROOT / room / "py.typed").is_file()
    readme = (ROOT / room / "README.md").read_text()
    assert "Why" in readme
    for path in sources(room):
        shown = path.name if path.name != "__init__.py" else path.parent.name
        assert shown in readme, f"{room}/README.md does not place {path.relative_to(ROOT)}"


def test_no_file_in_flows_shadows_a_room_or_a_dependency() -> None:
    """Prefect puts flows/ first on sys.path when it loads a flow by path."""
    taken = {*ROOMS, *packages_distributions()}

    assert [path.name for path in (ROOT / "flows").glob("*.py") if path.stem in taken - {"flows"}] == []


def test_no_module_hides_a_public_function_of_its_package() -> None:
    """`pipeline/clean.py` would overwrite the function `pipeline.clean`."""
    for room in ROOMS:
        tree = ast.parse((ROOT / room / "__init__.py").read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

        assert functions & {path.stem for path in (ROOT / room).glob("*.py")} == set()


def test_files_stay_within_a_screenful_of_screens() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ROOMS
        for path in sources(room)
        if (lines := len(path.read_text().splitlines())) > 300
    }

    assert long == {}


def test_tests_are_flat() -> None:
    assert not (ROOT / "tests" / "__init__.py").exists()
    assert [
        path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name not in ("__pycache__", "data")
    ] == []


def test_no_file_names_a_registry_or_this_machine() -> None:
    marks = ("pypi.org", "pythonhosted", "registry.npmjs", "/work/", "/root/")
    tracked = [
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(
            part.startswith((".venv", ".git", ".mypy", ".ruff", ".hypo", ".pytest", "__pyc"))
            for part in path.relative_to(ROOT).parts
        )
    ]
    wrong = [
        str(path.relative_to(ROOT))
        for path in tracked
        if path != Path(__file__) and any(mark in path.read_text(errors="ignore") for mark in marks)
    ]

    assert wrong == []
