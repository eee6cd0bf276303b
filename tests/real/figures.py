"""The published figures, read from the tables that the jobs wrote; `make real` prints them at its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parents[2] / ".make" / "figures.tsv"


@dataclass(frozen=True)
class Figure:
    """A figure beside its bar, and the command that a user types for it."""

    name: str
    value: float
    low: float
    high: float
    command: str

    @property
    def is_reached(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def bar(self) -> str:
        if self.low == self.high:
            return f"= {self.low:g}"
        ends = [f">= {self.low:g}"] if self.low > float("-inf") else []
        ends += [f"<= {self.high:g}"] if self.high < float("inf") else []
        return ", ".join(ends)


def note(*figures: Figure) -> None:
    """Keeps the figures for the table at the end."""
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a", encoding="utf-8") as file:
        for f in figures:
            reached = "reached" if f.is_reached else "MISSED"
            file.write(f"{f.name}\t{f.value:,.4f}\t{f.bar}\t{reached}\t{f.command}\n")


def at_least(name: str, value: float, bar: float, command: str) -> Figure:
    return Figure(name, value, bar, float("inf"), command)


def at_most(name: str, value: float, bar: float, command: str) -> Figure:
    return Figure(name, value, float("-inf"), bar, command)
