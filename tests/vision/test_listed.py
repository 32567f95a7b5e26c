"""What the log says of plate lists: each broken line once as long as its list stays as it is."""

from pathlib import Path

import pytest

from gateway.vision.listed import SAID, ListNews
from gateway.vision.lists import PlateLists


def told(news: ListNews, *problems: str, file: str = "a.csv") -> None:
    news.take("allow", file, problems, len(problems))


def test_a_list_is_told_once_whoever_reads_it_anew(caplog: pytest.LogCaptureFixture) -> None:
    news = ListNews()
    for _ in range(3):
        told(news, "a.csv:2: broken", "a.csv:3: broken")
    assert caplog.messages == ["a.csv:2: broken", "a.csv:3: broken"]
    told(news, "a.csv:2: broken", "a.csv:9: broken")
    assert caplog.messages[2:] == ["a.csv:9: broken"]
    told(news, "b.csv:1: broken", file="b.csv")
    assert caplog.messages[3:] == ["b.csv:1: broken"]


def test_that_a_list_is_sound_again_is_told_and_what_breaks_then_is_new(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    news = ListNews()
    told(news)
    assert caplog.messages == []
    for _ in range(2):
        told(news, "a.csv:2: broken")
        told(news)
        told(news)
    sound = "a.csv: the allow list has no broken line any more"
    assert caplog.messages == ["a.csv:2: broken", sound] * 2


def test_of_many_broken_lines_the_first_are_named(caplog: pytest.LogCaptureFixture) -> None:
    told(ListNews(), *(f"a.csv:{number}: broken" for number in range(SAID + 5)))
    assert len(caplog.messages) == SAID + 1
    assert "and 5 lines more to be left out" in caplog.messages[-1]


def test_who_reads_a_list_is_heard_at_first_and_when_its_problems_change(tmp_path: Path) -> None:
    path = tmp_path / "allow.csv"
    path.write_text("nothing\n")
    heard: list[tuple[str, str, int]] = []
    lists = PlateLists(
        {"allow": path}, now=lambda: 1e12, tell=lambda name, file, problems: heard.append((name, file, len(problems)))
    )
    lists.refresh()
    path.write_text("nothing\nnothing else\n")
    lists.refresh()
    path.touch()
    lists.refresh()
    path.write_text("京N98K76\n")
    lists.refresh()
    assert heard == [("allow", str(path), count) for count in (2, 3, 0)]
