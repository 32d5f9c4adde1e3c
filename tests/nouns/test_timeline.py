"""The timeline: one clock for several processes, spans that tell how they ended, and what a kill leaves of them."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from holdfast.timeline import Event, Phase, Timeline, now, points, read_events, spans


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run-1" / "timeline.jsonl"


@pytest.fixture
def timeline(path: Path) -> Timeline:
    path.parent.mkdir()
    return Timeline(path)


def test_a_point_has_its_moment_and_its_data(timeline: Timeline, path: Path) -> None:
    before = now()
    timeline.point("switch", token=3, to={"gateway": "green"})
    (event,) = points(read_events(path), "switch")
    assert before <= event.at <= now()
    assert event.data == {"token": 3, "to": {"gateway": "green"}}
    assert timeline.run == "run-1"


def test_a_span_has_start_end_and_what_its_body_found(timeline: Timeline, path: Path) -> None:
    with timeline.span("step", step="ready") as found:
        found["instances"] = 2
    (span,) = spans(read_events(path), "step")
    assert span.ok is True
    assert span.end is not None
    assert span.end >= span.start
    assert (span.data["step"], span.data["instances"]) == ("ready", 2)


def test_a_span_whose_body_raises_ends_not_ok_and_the_error_goes_on(timeline: Timeline, path: Path) -> None:
    with pytest.raises(ValueError, match="no answer"), timeline.span("step"):
        raise ValueError("no answer")
    with pytest.raises(KeyboardInterrupt), timeline.span("step"):
        raise KeyboardInterrupt
    assert [(span.ok, span.data["error"]) for span in spans(read_events(path), "step")] == [
        (False, "no answer"),
        (False, "KeyboardInterrupt"),
    ]


def test_a_body_may_say_itself_that_it_did_not_go_well(timeline: Timeline, path: Path) -> None:
    with timeline.span("step") as found:
        found["ok"] = False
    assert [span.ok for span in spans(read_events(path), "step")] == [False]


def test_spans_of_one_name_are_paired_rightly_when_they_overlap(timeline: Timeline, path: Path) -> None:
    with timeline.span("fault", fault="outer"), timeline.span("fault", fault="inner"):
        pass
    outer, inner = spans(read_events(path), "fault")
    assert (outer.data["fault"], inner.data["fault"]) == ("outer", "inner")
    assert outer.end is not None
    assert inner.end is not None
    assert outer.start <= inner.start <= inner.end <= outer.end


def test_a_span_that_was_killed_has_no_end_and_covers_all_that_follows(path: Path) -> None:
    path.parent.mkdir()
    code = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from holdfast.timeline import Timeline
        timeline = Timeline(Path(sys.argv[1]))
        with timeline.span("step", step="switch"):
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-P", "-c", code, str(path)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    (span,) = spans(read_events(path), "step")
    assert (span.end, span.ok) == (None, None)
    assert span.covers(now())
    assert not span.covers(span.start - 1)


def test_events_of_two_processes_are_on_one_clock(timeline: Timeline, path: Path) -> None:
    code = "import sys; from pathlib import Path; from holdfast.timeline import Timeline\n"
    code += "with Timeline(Path(sys.argv[1])).span('load', stream='users'): pass"
    with timeline.span("phase"):
        subprocess.run([sys.executable, "-P", "-c", code, str(path)], check=True, timeout=30)
    events = read_events(path)
    assert [(event.name, event.phase) for event in events] == [
        ("phase", Phase.START),
        ("load", Phase.START),
        ("load", Phase.END),
        ("phase", Phase.END),
    ]


def test_events_are_read_in_the_order_of_the_clock(timeline: Timeline, path: Path) -> None:
    timeline.point("b")
    late = path.read_bytes()
    early = late.replace(b'"at":', b'"at":1')
    path.write_bytes(early + late)
    ats = [event.at for event in read_events(path)]
    assert ats == sorted(ats)
    assert len(ats) == 2


def test_a_torn_last_line_is_left_out_and_no_file_is_no_event(timeline: Timeline, path: Path) -> None:
    timeline.point("a")
    timeline.point("b")
    path.write_bytes(path.read_bytes()[:-3])
    assert [event.name for event in read_events(path)] == ["a"]
    assert read_events(path.with_name("none")) == []


def test_listeners_hear_each_event_after_it_is_written(path: Path) -> None:
    path.parent.mkdir()
    heard: list[tuple[Event, int]] = []
    timeline = Timeline(path, listeners=(lambda event: heard.append((event, len(read_events(path)))),))
    timeline.listen(lambda event: heard.append((event, -1)))
    timeline.point("a")
    with timeline.span("s"):
        pass
    assert [(event.name, event.phase, count) for event, count in heard if count >= 0] == [
        ("a", Phase.POINT, 1),
        ("s", Phase.START, 2),
        ("s", Phase.END, 3),
    ]
    assert len(heard) == 6


def test_points_are_not_spans_and_spans_are_not_points(timeline: Timeline, path: Path) -> None:
    timeline.point("fault")
    with timeline.span("fault"):
        pass
    events = read_events(path)
    assert (len(points(events, "fault")), len(spans(events, "fault"))) == (1, 1)
