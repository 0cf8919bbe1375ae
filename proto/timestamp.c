/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timestamp - RFC 3339, section 5.6, read from left to right.
 */
#include "proto/timestamp.h"

static bool take_digits(struct str *s, size_t n, unsigned min, unsigned max, unsigned *ret)
{
	unsigned value = 0;

	if (s->len < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s->at[i] < '0' || s->at[i] > '9')
			return false;
		value = value * 10 + (unsigned)(s->at[i] - '0');
	}
	if (value < min || value > max)
		return false;
	*s = str_from(s->at + n, s->len - n);
	*ret = value;
	return true;
}

static unsigned month_days(unsigned year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

/* Days since 1970-01-01; the year begins in March here, so that a leap day is its last. */
static int64_t days_since_epoch(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month > 2 ? year : year - 1;
	unsigned m = month > 2 ? month - 3 : month + 9;

	return 365 * (int64_t)y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool take_date(struct str *s, int64_t *ret_days)
{
	unsigned year = 0;
	unsigned month = 0;
	unsigned day = 0;

	if (!take_digits(s, 4, 1970, 9999, &year) || !str_skip(s, "-") || !take_digits(s, 2, 1, 12, &month) ||
		!str_skip(s, "-") || !take_digits(s, 2, 1, month_days(year, month), &day))
		return false;
	*ret_days = days_since_epoch(year, month, day);
	return true;
}

static bool take_time(struct str *s, int64_t *ret_seconds)
{
	unsigned hour = 0;
	unsigned minute = 0;
	unsigned second = 0;
	unsigned digit;

	if (!take_digits(s, 2, 0, 23, &hour) || !str_skip(s, ":") || !take_digits(s, 2, 0, 59, &minute) ||
		!str_skip(s, ":") || !take_digits(s, 2, 0, 59, &second))
		return false;
	if (str_skip(s, ".")) {
		if (!take_digits(s, 1, 0, 9, &digit))
			return false;
		while (take_digits(s, 1, 0, 9, &digit))
			;
	}
	*ret_seconds = (int64_t)hour * 3600 + minute * 60 + second;
	return true;
}

static bool take_offset(struct str *s, int64_t *ret_seconds)
{
	bool east = false;
	unsigned hours = 0;
	unsigned minutes = 0;

	*ret_seconds = 0;
	if (str_skip(s, "Z") || str_skip(s, "z"))
		return true;
	east = str_skip(s, "+");
	if (!east && !str_skip(s, "-"))
		return false;
	if (!take_digits(s, 2, 0, 23, &hours) || !str_skip(s, ":") || !take_digits(s, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = ((int64_t)hours * 3600 + minutes * 60) * (east ? 1 : -1);
	return true;
}

bool timestamp_parse(struct str text, int64_t *ret_wall_s, struct error *err)
{
	struct str s = text;
	int64_t days = 0;
	int64_t seconds = 0;
	int64_t offset = 0;

	if (!take_date(&s, &days) || !(str_skip(&s, "T") || str_skip(&s, "t") || str_skip(&s, " ")) ||
		!take_time(&s, &seconds) || !take_offset(&s, &offset) || s.len ||
		days * 86400 + seconds - offset < 0)
		return error_set(err, ERROR_INVALID, NULL,
			"\"%.*s\" is not an RFC 3339 time of 1970 to 9999 (\"2026-11-20T12:00:00Z\")",
			(int)(text.len < 40 ? text.len : 40), text.at);
	*ret_wall_s = days * 86400 + seconds - offset;
	return true;
}
