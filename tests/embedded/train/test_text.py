"""The merges of the byte-pair encoding."""

from __future__ import annotations

from cnet_app.embedded.train.text import learn_merges


def test_merges_make_every_word_one_token_and_begin_with_the_commonest_pair() -> None:
    words = {"ball", "tall", "a", "bat"}
    merges = learn_merges(words)
    assert merges[0] == ("a", "l")
    for word in words:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        for one, other in merges:
            place = 0
            while place + 1 < len(parts):
                if (parts[place], parts[place + 1]) == (one, other):
                    parts[place : place + 2] = [one + other]
                place += 1
        assert parts == [f"{word}</w>"]
    assert merges == learn_merges(sorted(words, reverse=True))
    assert learn_merges({"a"}) == []
