from penstock_token_counter._rate import CallRate


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_second_of_the_rate_may_come_at_once_and_then_one_by_one() -> None:
    clock = Clock()
    rate = CallRate(4, clock=clock)

    at_once = [rate.take("a") for _ in range(5)]
    clock.now += at_once[-1]

    assert at_once == [0, 0, 0, 0, 0.25]
    assert [rate.take("a"), rate.take("a")] == [0, 0.25]


def test_callers_are_counted_apart() -> None:
    rate = CallRate(1, clock=Clock())

    assert [rate.take("a"), rate.take("b")] == [0, 0]
    assert rate.take("a") > 0


def test_a_rate_below_one_lets_one_through_and_then_makes_wait() -> None:
    clock = Clock()
    rate = CallRate(0.5, clock=clock)

    assert [rate.take("a"), rate.take("a")] == [0, 2]
    clock.now += 2
    assert rate.take("a") == 0


def test_callers_who_were_silent_are_forgotten() -> None:
    clock = Clock()
    rate = CallRate(1000, clock=clock)
    for number in range(50_000):
        clock.now += 0.001
        rate.take(str(number))

    assert len(rate._next) <= 10_001
