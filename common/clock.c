/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock - the two clocks, and UTC dates written digit by digit (no locale can change them).
 */
#include "common/clock.h"

#include <string.h>
#include <time.h>

#include "common/check.h"

#define DAY_S    86400
#define WALL_MAX INT64_C(253402300799) /* the end of the year 9999 */

static struct timespec now(clockid_t id)
{
	struct timespec ts;

	CHECK(clock_gettime(id, &ts) == 0);
	return ts;
}

int64_t clock_ms(void)
{
	struct timespec ts = now(CLOCK_BOOTTIME);

	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_us(void)
{
	struct timespec ts = now(CLOCK_BOOTTIME);

	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_cpu_us(void)
{
	struct timespec ts = now(CLOCK_THREAD_CPUTIME_ID);

	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	struct timespec ts = now(CLOCK_REALTIME);

	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_wall_s(void)
{
	return (int64_t)now(CLOCK_REALTIME).tv_sec;
}

/* Times outside the years 1970 to 9999 are moved to the nearer end: the formats have four digits. */
static struct tm utc(int64_t wall_s)
{
	time_t t = (time_t)(wall_s < 0 ? 0 : wall_s > WALL_MAX ? WALL_MAX : wall_s);
	struct tm tm;

	CHECK(gmtime_r(&t, &tm));
	return tm;
}

static char *put_digits(char *at, int n, int digits)
{
	for (int i = digits - 1; i >= 0; i--, n /= 10)
		at[i] = (char)('0' + n % 10);
	return at + digits;
}

static char *put_text(char *at, const char *text, size_t len)
{
	memcpy(at, text, len);
	return at + len;
}

static char *put_date(char *at, const struct tm *tm)
{
	at = put_digits(at, tm->tm_year + 1900, 4);
	*at++ = '-';
	at = put_digits(at, tm->tm_mon + 1, 2);
	*at++ = '-';
	return put_digits(at, tm->tm_mday, 2);
}

static char *put_time(char *at, const struct tm *tm)
{
	at = put_digits(at, tm->tm_hour, 2);
	*at++ = ':';
	at = put_digits(at, tm->tm_min, 2);
	*at++ = ':';
	return put_digits(at, tm->tm_sec, 2);
}

void clock_rfc3339(int64_t wall_ms, char into[CLOCK_RFC3339_SIZE])
{
	struct tm tm = utc(wall_ms / 1000);
	char *at = put_date(into, &tm);

	*at++ = 'T';
	at = put_time(at, &tm);
	*at++ = '.';
	at = put_digits(at, wall_ms < 0 ? 0 : (int)(wall_ms % 1000), 3);
	put_text(at, "Z", 2);
}

void clock_day(int64_t wall_s, char into[11])
{
	struct tm tm = utc(wall_s);

	*put_date(into, &tm) = '\0';
}

int64_t clock_next_day_s(int64_t wall_s)
{
	int64_t into_day = wall_s % DAY_S;

	return wall_s - (into_day < 0 ? into_day + DAY_S : into_day) + DAY_S;
}

void clock_http_date(int64_t wall_s, char into[32])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm = utc(wall_s);
	char *at = put_text(into, days + 3 * tm.tm_wday, 3);

	at = put_text(at, ", ", 2);
	at = put_digits(at, tm.tm_mday, 2);
	*at++ = ' ';
	at = put_text(at, months + 3 * tm.tm_mon, 3);
	*at++ = ' ';
	at = put_digits(at, tm.tm_year + 1900, 4);
	*at++ = ' ';
	at = put_time(at, &tm);
	put_text(at, " GMT", 5);
}
