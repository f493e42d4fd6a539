"""Cron lines: what they name, day by day, through every change of the clocks."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core.config import cron

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"


def moments(line, zone, after, count):
    """The next times, on the clocks of the zone, each with its offset from UTC in hours."""
    where = cron.parse_zone(zone)
    found = islice(cron.nominal_times(cron.parse_cron(line), where, after), count)
    local = [moment.astimezone(where) for moment in found]
    return [f"{one:%m-%d %H:%M} {one.utcoffset() / timedelta(hours=1):+g}" for one in local]


#: Berlin goes forward at 02:00 on 29 March 2026 and back at 03:00 on 25 October; New York forward
#: at 02:00 on 8 March and back at 02:00 on 1 November. Tables of tzdata.
@pytest.mark.parametrize(
    ("line", "zone", "eve", "wanted"),
    [
        # a time of the wall clock comes once a day: the missing one an hour later, the doubled one
        # the first time
        ("30 2 * * *", BERLIN, "2026-03-28T12", ["03-29 03:30 +2", "03-30 02:30 +2"]),
        ("30 2 * * *", BERLIN, "2026-10-24T12", ["10-25 02:30 +2", "10-26 02:30 +1"]),
        ("30 2 * * *", NEW_YORK, "2026-03-07T12", ["03-08 03:30 -4", "03-09 02:30 -4"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12", ["11-01 01:30 -4", "11-02 01:30 -5"]),
        ("0 4 * * *", BERLIN, "2026-03-28T12", ["03-29 04:00 +2", "03-30 04:00 +2"]),
        # 02:00 is missing and read as 03:00, which is named too: one run
        ("0 2,3 * * *", BERLIN, "2026-03-28T12", ["03-29 03:00 +2", "03-30 02:00 +2"]),
        (
            "0 */2 * * *",
            NEW_YORK,
            "2026-11-01T03",
            ["11-01 00:00 -4", "11-01 02:00 -5", "11-01 04:00 -5"],
        ),
        # every hour is every hour that passes: none is missing, the doubled one comes twice
        (
            "0 * * * *",
            BERLIN,
            "2026-03-28T23:30",
            ["03-29 01:00 +1", "03-29 03:00 +2", "03-29 04:00 +2"],
        ),
        (
            "0 * * * *",
            BERLIN,
            "2026-10-24T23:30",
            ["10-25 02:00 +2", "10-25 02:00 +1", "10-25 03:00 +1"],
        ),
        ("30 * * * *", NEW_YORK, "2026-03-08T06", ["03-08 01:30 -5", "03-08 03:30 -4"]),
        # so it is where every hour is written in another way
        (
            "0 0-23 * * *",
            BERLIN,
            "2026-10-24T23:30",
            ["10-25 02:00 +2", "10-25 02:00 +1", "10-25 03:00 +1"],
        ),
        (
            "0 */1 * * *",
            BERLIN,
            "2026-03-28T23:30",
            ["03-29 01:00 +1", "03-29 03:00 +2", "03-29 04:00 +2"],
        ),
        (
            "@hourly",
            BERLIN,
            "2026-10-24T23:30",
            ["10-25 02:00 +2", "10-25 02:00 +1", "10-25 03:00 +1"],
        ),
        (
            "30 * * * *",
            NEW_YORK,
            "2026-11-01T05",
            ["11-01 01:30 -4", "11-01 01:30 -5", "11-01 02:30 -5"],
        ),
        # UTC knows no such change
        ("30 2 * * *", "UTC", "2026-03-28T12", ["03-29 02:30 +0", "03-30 02:30 +0"]),
    ],
)
def test_what_a_change_of_the_clocks_does(line, zone, eve, wanted):
    assert (
        moments(line, zone, datetime.fromisoformat(eve).replace(tzinfo=UTC), len(wanted)) == wanted
    )


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("0 2 1 * *", ["12-01 02:00 +0", "01-01 02:00 +0"]),
        ("0 2 * * 0", ["11-08 02:00 +0", "11-15 02:00 +0"]),
        ("0 2 * * 1-5", ["11-02 02:00 +0", "11-03 02:00 +0"]),
        ("5/20 12 2 11 *", ["11-02 12:05 +0", "11-02 12:25 +0", "11-02 12:45 +0"]),
        # both kinds of day: either
        ("0 2 13 * 5", ["11-06 02:00 +0", "11-13 02:00 +0", "11-20 02:00 +0"]),
        ("0 2 */2 * 1", ["11-09 02:00 +0", "11-23 02:00 +0"]),
        ("0 0 29 2 *", ["02-29 00:00 +0"]),
        # names, Sunday twice, words for whole lines
        ("0 2 * * 7", ["11-08 02:00 +0", "11-15 02:00 +0"]),
        ("0 2 * * SUN", ["11-08 02:00 +0", "11-15 02:00 +0"]),
        ("0 2 * * Mon-fri", ["11-02 02:00 +0", "11-03 02:00 +0"]),
        ("0 2 * * 5-7", ["11-06 02:00 +0", "11-07 02:00 +0", "11-08 02:00 +0", "11-13 02:00 +0"]),
        ("0 2 1 jan,MAR *", ["01-01 02:00 +0", "03-01 02:00 +0"]),
        ("@daily", ["11-03 00:00 +0", "11-04 00:00 +0"]),
        (" @Midnight ", ["11-03 00:00 +0", "11-04 00:00 +0"]),
        ("@weekly", ["11-08 00:00 +0", "11-15 00:00 +0"]),
        ("@monthly", ["12-01 00:00 +0", "01-01 00:00 +0"]),
        ("@yearly", ["01-01 00:00 +0"]),
        ("@annually", ["01-01 00:00 +0"]),
        ("@hourly", ["11-02 01:00 +0", "11-02 02:00 +0"]),
        # the last day, the last Friday, the first Monday
        ("0 2 L * *", ["11-30 02:00 +0", "12-31 02:00 +0"]),
        ("0 2 * * 5L", ["11-27 02:00 +0", "12-25 02:00 +0"]),
        ("0 2 * * MON#1", ["11-02 02:00 +0", "12-07 02:00 +0"]),
        # a range of one number stays one, whatever its step
        ("42-42/5,7-7/1 12 2 11 *", ["11-02 12:07 +0", "11-02 12:42 +0"]),
    ],
)
def test_days_and_steps_are_read_as_crontab_reads_them(line, wanted):
    assert moments(line, "UTC", datetime(2026, 11, 2, tzinfo=UTC), len(wanted)) == wanted


def test_a_day_that_never_comes_is_refused():
    with pytest.raises(ValueError, match="a day that exists"):
        cron.parse_cron("0 2 31 2,4 *")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("0 2 * *", "five cron fields"),
        ("0-99999999999 * * * *", "minute is '0-99999999999'"),
        ("30-5 * * * *", "minute is '30-5'"),
        ("0 24 * * *", "hour is '24'; expected \\*, numbers from 0 to 23"),
        ("0 2 0 * *", "day of month is '0'"),
        (
            "0 2 * january *",
            "month is 'january'; expected \\*, numbers from 1 to 12, names such as JAN",
        ),
        (
            "0 2 * * 8",
            "day of week is '8'; expected \\*, numbers from 0 to 7 \\(0 and 7 are Sunday\\)",
        ),
        ("0 2 * * FRI-SUN", "day of week is 'FRI-SUN'; .* ranges that go upwards"),
        ("0 2 * * ?", "day of week is '\\?'; expected \\*"),
        ("H 2 * * *", "minute is 'H'"),
        ("1-2-3 * * * *", "minute is '1-2-3'"),
        ("5-5/0 * * * *", "minute is '5-5/0'"),
        ("٣ * * * *", "minute is '٣'"),
        ("9" * 5000 + " * * * *", "minute is '9+'… .5,000 characters"),
        ("0 0 2 * * *", "there is no field for seconds or years"),
        ("TZ=Europe/Berlin 0 2 * * *", "a time zone is written under `zone`"),
        ("@reboot", "or one of @yearly, .*@daily, .*@hourly"),
        ("daily", "or one of @yearly"),
        ("", "five cron fields"),
        ("*/0 * * * *", "minute is"),
        (", * * * *", "minute is ','"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_by_its_field(line, named):
    with pytest.raises(ValueError, match=named):
        cron.parse_cron(line)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "", "Berlin"])
def test_a_zone_that_nobody_knows_is_refused(name):
    with pytest.raises(ValueError, match="Europe/Berlin"):
        cron.parse_zone(name)


# --- laws -----------------------------------------------------------------------------------------

#: Zones with odd offsets, with changes at midnight, of half an hour, and one that has left out a
#: whole day.
ZONES = st.sampled_from([
    "UTC", BERLIN, NEW_YORK, "Australia/Lord_Howe", "America/St_Johns", "Asia/Beirut",
    "Asia/Kathmandu", "Pacific/Apia",
    "America/Havana", "Africa/Casablanca",
])  # fmt: skip
LINES = st.sampled_from([
    "0 2 * * *", "30 2 * * *", "0 0 * * *", "*/20 * * * *", "0 * * * *", "15,45 0-3 * * "
                                                                         "*", "30 */3 * * *",
    "0 23 * * 6",
])  # fmt: skip
_EPOCH = datetime(2009, 1, 1, tzinfo=UTC)
WHEN = st.integers(0, 18 * 365 * 1440).map(lambda minute: _EPOCH + timedelta(minutes=minute))


@given(LINES, ZONES, WHEN)
def test_times_come_in_order_each_once_and_none_is_left_out_wherever_one_begins(line, zone, after):
    read = cron.parse_cron(line)
    where = cron.parse_zone(zone)
    all_at_once = list(islice(cron.nominal_times(read, where, after), 12))
    one_by_one = [after]
    for _ in range(12):
        one_by_one.append(next(cron.nominal_times(read, where, one_by_one[-1])))
    assert all_at_once == one_by_one[1:]
    assert all(before < later for before, later in pairwise(one_by_one))


@given(st.sampled_from(["0 2 * * *", "30 0 * * *", "45 23 * * *"]), ZONES, WHEN)
def test_a_nightly_line_has_one_time_for_each_date(line, zone, after):
    where = cron.parse_zone(zone)
    found = list(islice(cron.nominal_times(cron.parse_cron(line), where, after), 300))
    dates = [moment.astimezone(where).date() for moment in found]
    left_out = date(2011, 12, 30)  # Samoa had none
    assert all(
        later - before == timedelta(days=1) or left_out in (before + timedelta(days=1), later)
        for before, later in pairwise(dates)
    )


@given(ZONES, WHEN)
def test_every_hour_means_every_hour_that_passes(zone, after):
    found = list(
        islice(
            cron.nominal_times(cron.parse_cron("*/30 * * * *"), cron.parse_zone(zone), after), 200
        )
    )
    assert {later - before for before, later in pairwise(found)} == {timedelta(minutes=30)}


@given(st.sampled_from(["*/7 * * * *", "3,33 * * * MON-FRI", "0 * 13 * 5"]), ZONES, WHEN)
def test_a_line_for_every_hour_names_each_minute_whose_clock_shows_it(line, zone, after):
    """Minute by minute, as a clock on the wall would tell; the three lines are read by hand."""
    wanted = {
        "*/7 * * * *": lambda at: at.minute % 7 == 0,
        "3,33 * * * MON-FRI": lambda at: at.minute in {3, 33} and at.isoweekday() < 6,
        "0 * 13 * 5": lambda at: at.minute == 0 and (at.day == 13 or at.isoweekday() == 5),
    }[line]
    where = cron.parse_zone(zone)
    end = after + timedelta(days=2)
    minutes = (after + timedelta(minutes=number) for number in range(1, 2 * 1440 + 1))
    found = cron.nominal_times(cron.parse_cron(line), where, after)
    assert list(takewhile(lambda moment: moment <= end, found)) == [
        moment for moment in minutes if wanted(moment.astimezone(where))
    ]
