"""lamson.storage.leaps: a clock that was set ahead, and for how long that counts."""

from lamson.storage.leaps import Leaps


def test_a_leap_counts_for_a_while() -> None:
    wall, steady = [1000.0], [5.0]
    leaps = Leaps(lambda: wall[0], lambda: steady[0])

    def after(seconds: float, leap: float = 0.0) -> bool:
        steady[0] += seconds
        wall[0] += seconds + leap
        return leaps.is_recent(10.0)

    assert not after(5.0)
    assert not after(5.0, leap=2.0), "as ntpd does"
    assert after(5.0, leap=600.0)
    assert after(9.0)
    assert not after(2.0)
    assert not after(5.0, leap=-600.0), "back: leases last longer then"
    assert after(5.0, leap=11.0)
