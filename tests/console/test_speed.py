from amp_console.console.jobs.speed import Speed, ordinal, seconds_left


def test_nothing_is_said_before_anything_was_done() -> None:
    speed = Speed()

    assert speed.per_second(5.0) is None
    assert seconds_left(100, speed.per_second(5.0)) is None


def test_speed_is_the_mean_since_the_run_began() -> None:
    speed = Speed(began=100.0)
    speed.saw(102.0, 2_000)
    speed.saw(104.0, 4_000)

    assert speed.per_second(104.0) == 1_000
    assert seconds_left(6_000, speed.per_second(104.0)) == 6


def test_what_was_long_ago_counts_no_more() -> None:
    speed = Speed(window=10.0)
    speed.saw(1.0, 50_000)
    for second in range(20, 31):
        speed.saw(float(second), 50_000 + 100 * (second - 20))

    assert speed.per_second(30.0) == 100


def test_speed_falls_while_nothing_comes_and_ends_at_none_to_speak_of() -> None:
    speed = Speed(window=10.0)
    speed.saw(5.0, 1_000)

    assert speed.per_second(5.0) == 200
    assert speed.per_second(10.0) == 100
    assert speed.per_second(60.0) == 0
    assert seconds_left(100, speed.per_second(60.0)) is None


def test_samples_do_not_pile_up() -> None:
    speed = Speed(window=10.0)
    for tenth in range(10_000):
        speed.saw(tenth / 10, tenth)

    assert len(speed._seen) < 110


def test_a_guess_of_days_is_no_guess_and_nothing_left_takes_no_time() -> None:
    assert seconds_left(10_000_000, 0.01) is None
    assert seconds_left(0, None) == 0


def test_tries_are_counted_as_one_says_them() -> None:
    words = [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)]

    assert words == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]
