"""Links between the project's pages lead somewhere, and every domain has its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from retail_spark import domains

REPO = Path(__file__).parents[3]
PAGES = [*sorted(REPO.glob("*.md")), *sorted(REPO.glob("docs/**/*.md")), REPO / "tests" / "benchmarks" / "RESULTS.md"]
NAMES = sorted(path.parent.name for path in Path(domains.__file__).parent.glob("*/job.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPO)))
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_domain_has_a_page_that_the_readme_leads_to(name: str) -> None:
    text = (REPO / "docs" / "domains" / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}: ")
    assert f"(docs/domains/{name}.md)" in (REPO / "README.md").read_text(encoding="utf-8")
