from amp_console.console.jobs.speed import SETTLED, STEPS, Speed, ordinal


def test_nothing_is_said_before_anything_was_done() -> None:
    speed = Speed()

    assert speed.per_second(5.0) is None
    assert speed.seconds_left(100, 5.0) is None


def test_speed_is_the_mean_since_the_run_began() -> None:
    speed = Speed(began=100.0)
    speed.record(102.0, 2_000)
    speed.record(104.0, 4_000)

    assert speed.per_second(104.0) == 1_000


def test_what_was_long_ago_counts_no_more() -> None:
    speed = Speed(window=10.0)
    speed.record(1.0, 50_000)
    for second in range(20, 31):
        speed.record(float(second), 50_000 + 100 * (second - 20))

    assert speed.per_second(30.0) == 100


def test_speed_falls_while_nothing_comes_and_ends_at_none_to_speak_of() -> None:
    speed = Speed(window=10.0)
    speed.record(5.0, 1_000)

    assert speed.per_second(5.0) == 200
    assert speed.per_second(10.0) == 100
    assert speed.per_second(60.0) == 0
    assert speed.seconds_left(100, 60.0) is None


def test_samples_do_not_pile_up() -> None:
    speed = Speed(window=10.0)
    for tenth in range(10_000):
        speed.record(tenth / 10, tenth)

    assert len(speed._seen) < 110


def test_time_left_is_reported_once_a_few_steps_agree_on_it() -> None:
    speed = Speed(began=100.0)
    speed.record(110.0, 100)  # it took ten seconds until the first batch was answered
    assert speed.seconds_left(6_000, 110.0) is None
    for step in range(1, STEPS):
        assert speed.seconds_left(6_000, 110.0 + step) is None
        speed.record(110.0 + step, 100 + 1_000 * step)
    settled = 110.0 + SETTLED
    speed.record(settled, 3_250)
    assert speed.seconds_left(6_000, settled) == 6_000 / (3_250 / 13)


def test_a_guess_of_days_is_no_guess_and_nothing_left_takes_no_time() -> None:
    speed = Speed()
    for second in range(10):
        speed.record(float(second), second)
    assert speed.seconds_left(10_000_000, 10.0) is None
    assert speed.seconds_left(0, 10.0) == 0


def test_tries_are_counted_as_one_says_them() -> None:
    words = [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)]

    assert words == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]
