/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock - intervals use the boot clock, calendars the wall clock; never the other way round.
 *
 * The boot clock (CLOCK_BOOTTIME) never goes back and goes on while the machine sleeps, so what was good for a minute
 * before is not good any more after. A virtual machine that is paused from outside stops it: who must know compares
 * with somebody else's clock. Kernels wait by a clock that sleeps too, so only relative times go to poll() and the like.
 *
 * Thread  any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int64_t clock_ms(void);   /* since the machine was started */
int64_t clock_us(void);   /* the same, finer */
int64_t clock_cpu_us(void); /* processor time that this thread has used */
int64_t clock_wall_ms(void);
int64_t clock_wall_s(void);

#define CLOCK_RFC3339_SIZE 32
void clock_rfc3339(int64_t wall_ms, char into[CLOCK_RFC3339_SIZE]); /* 2026-11-20T12:34:56.789Z */
/* "2026-11-20": the UTC window of a quota. */
void clock_day(int64_t wall_s, char into[11]);
int64_t clock_next_day_s(int64_t wall_s); /* start of the next UTC day */
/* RFC 7231 date for headers, "Fri, 20 Nov 2026 12:34:56 GMT". */
void clock_http_date(int64_t wall_s, char into[32]);
