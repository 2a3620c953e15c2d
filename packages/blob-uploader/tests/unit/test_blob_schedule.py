"""The order of uploads: arrival, repetitions when due, and a way that closes for everyone but one probe."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock_blob_uploader._schedule import Schedule


def test_uploads_start_in_order_of_arrival() -> None:
    schedule: Schedule[str] = Schedule()
    for name in "abc":
        schedule.add(name)

    assert [schedule.take(0), schedule.take(0), schedule.take(0), schedule.take(0)] == ["a", "b", "c", None]


def test_one_that_is_put_off_comes_back_when_due_and_holds_up_nobody() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.put_off("later", due=10)
    schedule.add("now")

    assert schedule.take(9.9) == "now"
    assert schedule.take(9.9) is None
    assert schedule.next_due() == 10
    assert schedule.take(10) == "later"


def test_after_a_pause_one_probe_goes_and_its_success_opens_the_way() -> None:
    schedule: Schedule[str] = Schedule()
    for name in "abc":
        schedule.add(name)
    met = schedule.take(0)
    assert met is not None
    schedule.close(met, until=5)

    assert schedule.take(4.9) is None
    assert schedule.take(5) == "b"
    assert schedule.take(5) is None, "one probe at a time"
    assert schedule.next_due() is None, "only the probe can tell"
    assert schedule.open()
    assert [schedule.take(5), schedule.take(5)] == ["c", "a"]


def test_a_pause_lengthens_by_its_probes_only() -> None:
    schedule: Schedule[str] = Schedule()
    for name in "abc":
        schedule.add(name)
    under_way = [schedule.take(0), schedule.take(0)]
    for job in under_way:
        schedule.close(job or "", until=1)

    assert schedule.pauses == 1
    probe = schedule.take(1)
    schedule.close(probe or "", until=3)
    assert schedule.pauses == 2
    assert schedule.next_due() == 3


def test_a_probe_that_learnt_nothing_makes_room_for_the_next() -> None:
    schedule: Schedule[str] = Schedule()
    for name in "abc":
        schedule.add(name)
    schedule.close(schedule.take(0) or "", until=1)
    probe = schedule.take(1)

    schedule.learnt_nothing(probe or "")

    assert schedule.take(1) == "c"


class Uploads(RuleBasedStateMachine):
    """Whatever happens, every upload is waiting, running or over, exactly once, and never stuck."""

    @initialize()
    def start(self) -> None:
        self.schedule: Schedule[int] = Schedule()
        self.now = 0.0
        self.waiting: set[int] = set()
        self.running: set[int] = set()
        self.added = 0

    @rule()
    def add(self) -> None:
        self.schedule.add(self.added)
        self.waiting.add(self.added)
        self.added += 1

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        job = self.schedule.take(self.now)
        if job is not None:
            self.waiting.remove(job)
            self.running.add(job)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 9), delay=st.floats(0, 5), end=st.sampled_from(["arrived", "put off", "closed", "gone"]))
    def finish(self, pick: int, delay: float, end: str) -> None:
        job = sorted(self.running)[pick % len(self.running)]
        self.running.remove(job)
        if end == "closed":
            self.schedule.close(job, self.now + delay)
            self.waiting.add(job)
        elif end == "gone":
            self.schedule.learnt_nothing(job)
        else:
            self.schedule.open()
        if end == "put off":
            self.schedule.put_off(job, self.now + delay)
            self.waiting.add(job)

    @invariant()
    def every_waiting_upload_is_counted(self) -> None:
        assert len(self.schedule) == len(self.waiting)

    @invariant()
    def something_will_happen(self) -> None:
        assert not self.waiting or self.running or self.schedule.next_due() is not None

    def teardown(self) -> None:
        assert sorted(self.schedule.drain()) == sorted(self.waiting)


TestUploads = Uploads.TestCase
TestUploads.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
