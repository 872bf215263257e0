"""Writes lib/tokenizers/unicode-tables.ts: how the tokenizers library classifies, composes and lowercases characters.

    python test/reference/text_tables.py && npx biome check --write lib/tokenizers    (as pinned in requirements.txt)

The library's regular expressions follow Unicode 16, its lower case Unicode 17 and its NFC Unicode 9; JavaScript's
follow the version that Node was built with. For the same tokens on every Node, this script queries the library for
every code point.
"""

import unicodedata
from pathlib import Path

import regex
from tokenizers import Regex, normalizers, pre_tokenizers

OUT = Path(__file__).resolve().parents[2] / "lib" / "text" / "unicode-tables.ts"
POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]


def members(pattern):
    """Code points that match in the library's engine, queried in blocks."""
    split = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    found = []
    for start in range(0, len(POINTS), 4096):
        text = "".join(map(chr, POINTS[start : start + 4096]))
        found += [ord(char) for piece, _ in split.pre_tokenize_str(text) for char in piece]
    return found


def strangers_to_nfc():
    """Characters that compose, decompose or reorder in Unicode (according to `regex`) but not in the library."""
    nfc, nfd = normalizers.NFC(), normalizers.NFD()
    parts = {char for point in POINTS for char in nfd.normalize_str(chr(point)) if char != chr(point)}

    def known(char):
        # U+0345 has the highest combining class, U+0334 the lowest: a character with a combining class moves before or
        # after one of them.
        probes = ("a\u0345" + char, "a" + char + "\u0334")
        return char in parts or any(nfc.normalize_str(text) != text for text in probes) or nfd.normalize_str(char) != char

    active = regex.compile(r"\P{CCC=0}|\p{DT=Canonical}|\P{NFC_QC=Yes}")
    return [point for point in POINTS if active.match(chr(point)) and not known(chr(point))]


def young_capitals():
    """(upper case, lower case) of characters newer than Unicode 14, which an older Node does not lowercase."""
    lower = normalizers.Lowercase()
    pairs = [(p, lower.normalize_str(chr(p))) for p in POINTS if unicodedata.category(chr(p)) == "Cn"]
    return [(point, ord(small)) for point, small in pairs if small != chr(point)]


def ranges(points):
    """[first, last] of each run."""
    spans = []
    for point in points:
        if spans and spans[-1][1] == point - 1:
            spans[-1][1] = point
        else:
            spans.append([point, point])
    return spans


def base36(number):
    digits = ""
    while number or not digits:
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36] + digits
        number //= 36
    return digits


def packed(points):
    """Runs as `gap.length`: the distance from the last run's end, and the number of following code points."""
    words, end = [], 0
    for first, last in ranges(points):
        words.append(base36(first - end) + (f".{base36(last - first)}" if last > first else ""))
        end = last
    return literal(words)


def literal(words):
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 100:
            lines.append(line)
            line = ""
        line += word + " "
    return " +\n  ".join(f"'{line}'" for line in [*lines, line.rstrip()])


HEAD = """\
/**
 * Written by test/reference/text_tables.py: do not edit. Sets of characters as the tokenizers library (0.23) sees them, packed as
 * runs `gap.length` in base 36.
 */
"""


def main():
    capitals = [f"{base36(capital)}.{base36(small)}" for capital, small in young_capitals()]
    tables = [
        ("LETTERS", r"\p{L}", packed(members(r"\p{L}"))),
        ("NUMBERS", r"\p{N}", packed(members(r"\p{N}"))),
        ("STRANGERS_TO_NFC", "Characters that the library's NFC leaves alone and Node's may not.", packed(strangers_to_nfc())),
        ("YOUNG_CAPITALS", "`capital.small`, for a Node whose lower case does not know them.", literal(capitals)),
    ]
    OUT.write_text(HEAD + "".join(f"\n/** {about} */\nexport const {name} =\n  {text};\n" for name, about, text in tables))


if __name__ == "__main__":
    main()
