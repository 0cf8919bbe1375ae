/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_clock.h"

#include <time.h>

#include "common/clock.h"
#include "common/str.h"

#define TELL_EVERY_MS (60 * 60 * 1000)
/* What a Date may be behind the clock that it is of: its second, and one for servers that write it once a
 * second and send it until the next. */
#define DATE_SPAN_MS 2000

static int64_t into_bounds(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

void s3_clock_learn(struct s3_clock *clock, int64_t sent_ms, int64_t heard_ms, int64_t date_s)
{
	int64_t least = date_s * 1000 - heard_ms, most = date_s * 1000 + DATE_SPAN_MS - sent_ms;
	int64_t before = atomic_load(&clock->ahead_ms), next;

	do {
		next = before ? into_bounds(before, least, most) : least;
		if (!next)
			next = 1;
	} while (next != before && !atomic_compare_exchange_weak(&clock->ahead_ms, &before, next));
}

bool s3_clock_is_known(const struct s3_clock *clock)
{
	return atomic_load(&clock->ahead_ms) != 0;
}

int64_t s3_clock_now_ms(const struct s3_clock *clock)
{
	int64_t ahead = atomic_load(&clock->ahead_ms);

	return ahead ? clock_ms() + ahead : clock_wall_ms();
}

int64_t s3_clock_now_s(const struct s3_clock *clock)
{
	return s3_clock_now_ms(clock) / 1000;
}

bool s3_clock_should_tell(struct s3_clock *clock, int64_t date_s)
{
	int64_t off = date_s - clock_wall_s(), now = clock_ms(), told = atomic_load(&clock->told_ms);

	if (off < S3_CLOCK_OFF_S && off > -S3_CLOCK_OFF_S)
		return false;
	if (told && now - told < TELL_EVERY_MS)
		return false;
	return atomic_compare_exchange_strong(&clock->told_ms, &told, now);
}

static bool read_day(struct str *s, struct tm *tm)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct str weekday, name;
	uint64_t day, year;
	int month = 0;

	if (!str_until(s, ' ', &weekday) || !str_number(s, 31, &day) || !str_skip(s, " ") ||
		!str_until(s, ' ', &name) || name.len != 3 || !str_number(s, 9999, &year))
		return false;
	while (month < 12 && memcmp(months + 3 * month, name.at, 3) != 0)
		month++;
	tm->tm_mday = (int)day;
	tm->tm_mon = month;
	tm->tm_year = (int)year - 1900;
	return month < 12;
}

static bool read_time(struct str *s, struct tm *tm)
{
	uint64_t hour, minute, second;

	if (!str_number(s, 23, &hour) || !str_skip(s, ":") || !str_number(s, 59, &minute) ||
		!str_skip(s, ":") || !str_number(s, 60, &second))
		return false;
	tm->tm_hour = (int)hour;
	tm->tm_min = (int)minute;
	tm->tm_sec = (int)second;
	return true;
}

bool s3_clock_parse(const char *text, int64_t *ret_wall_s)
{
	struct str s = str_of(text);
	struct tm tm = { 0 };

	if (!read_day(&s, &tm) || !str_skip(&s, " ") || !read_time(&s, &tm) || !str_is(s, " GMT"))
		return false;
	*ret_wall_s = timegm(&tm);
	return true;
}

/* ".789", or nothing. */
static bool skip_fraction(struct str *s)
{
	uint64_t ignored;

	return !str_skip(s, ".") || str_number(s, UINT32_MAX, &ignored);
}

bool s3_clock_parse_iso(const char *text, int64_t *ret_wall_s)
{
	struct str s = str_of(text);
	struct tm tm = { 0 };
	uint64_t year, month, day;

	if (!str_number(&s, 9999, &year) || !str_skip(&s, "-") || !str_number(&s, 12, &month) || !month ||
		!str_skip(&s, "-") || !str_number(&s, 31, &day) || !day || !str_skip(&s, "T") ||
		!read_time(&s, &tm) || !skip_fraction(&s) || !str_is(s, "Z"))
		return false;
	tm.tm_year = (int)year - 1900;
	tm.tm_mon = (int)month - 1;
	tm.tm_mday = (int)day;
	*ret_wall_s = timegm(&tm);
	return true;
}
