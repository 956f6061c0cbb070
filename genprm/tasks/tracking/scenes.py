"""Scenes of the tracking task: who swaps what, in which words.

The five scenes follow the public BIG-Bench task (dancers, players, gifts, books, positions); the
lists of names and things are our own, in that task's style. Nothing here draws a problem.
"""

from __future__ import annotations

from dataclasses import dataclass

PEOPLE = ("Alice", "Bob", "Claire", "Dave", "Eve", "Fred", "Gertrude")

_COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "black", "brown")


@dataclass(frozen=True, slots=True)
class Scene:
    """Wording of one scene. `has` says that a person has a thing, with `{}` for the thing as
    solutions name it; `verb` is the problem's word for a swap, `verbs` are those of solutions."""

    intro: str
    start: str
    has: str
    things: tuple[str, ...]
    middle: str
    verb: str
    verbs: tuple[str, ...]
    end: str
    end_has: str
    noun: str  # follows the thing in the options: " ball" or ""


SCENES = (
    Scene(
        "are dancers at a square dance",
        "At the start of a song, they each have a partner",
        "is dancing with {}",
        (
            "Ophelia",
            "Lola",
            "Izzi",
            "Rodrigo",
            "Helga",
            "Melissa",
            "Jamie",
            "Patrick",
            "Sam",
            "Karl",
        ),
        "Throughout the song, the dancers often trade partners.",
        "switch partners",
        ("switch partners", "switch partners", "switch", "swap"),
        "At the end of the dance",
        "is dancing with {}",
        "",
    ),
    Scene(
        "are on the same team in a soccer match",
        "At the start of the match, they are each assigned to a position",
        "is playing {}",
        (
            "benchwarmer",
            "fullback",
            "goalkeeper",
            "cheerleader",
            "striker",
            "left midfielder",
            "right midfielder",
            "center midfielder",
            "left winger",
            "right winger",
        ),
        "As the game progresses, pairs of players occasionally swap positions.",
        "trade positions",
        ("trade positions", "trade positions", "trade", "swap"),
        "At the end of the match",
        "is playing {}",
        "",
    ),
    Scene(
        "are friends and avid readers who occasionally trade books",
        "At the start of the semester, they each buy one new book",
        "gets {}",
        (
            "Ulysses",
            "Frankenstein",
            "The Odyssey",
            "Moby Dick",
            "The Great Gatsby",
            "Catch-22",
            "The Pearl",
            "Lolita",
            "Hound of the Baskervilles",
            "The Fellowship of the Ring",
        ),
        "As the semester proceeds, they start trading around the new books.",
        "swap books",
        ("swap books", "swap books", "swap"),
        "At the end of the semester",
        "has {}",
        "",
    ),
    Scene(
        "are holding a white elephant gift exchange",
        "At the start of the event, they are each holding a present of a different color",
        "has a {} present",
        _COLOURS,
        "As the event progresses, pairs of people swap gifts.",
        "swap their gifts",
        ("swap", "swap", "swap gifts", "swap their gifts"),
        "At the end of the event",
        "has the {} present",
        " present",
    ),
    Scene(
        "are playing a game",
        "At the start of the game, they are each holding a ball",
        "has a {} ball",
        _COLOURS,
        "As the game progresses, pairs of players trade balls.",
        "swap balls",
        ("swap balls", "swap balls", "swap"),
        "At the end of the game",
        "has the {} ball",
        " ball",
    ),
)
