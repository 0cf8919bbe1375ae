/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaders - which leader to ask next, and when: each URL with its own backoff.
 *
 * A failed URL is not asked again before a pause that grows by the factor (full jitter, at most the
 * cap); of those that may be asked the one after the last is taken, and a URL that works is kept.
 * Thread  own loop.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "worker/cluster/member_settings.h"

struct leaders {
	const struct setting_list *urls;
	int64_t delay_ms, cap_ms, factor;
	size_t now;
	struct leader_pause { int64_t until_ms; unsigned failures; } *pauses;
};
void leaders_init(struct leaders *leaders, const struct member_settings *settings, int64_t cap_ms);
void leaders_fini(struct leaders *leaders);
/* The URL to ask now, or NULL and *ret_wait_ms until one may be asked. */
const char *leaders_next(struct leaders *leaders, int64_t now_ms, int64_t *ret_wait_ms);
void leaders_worked(struct leaders *leaders);
void leaders_failed(struct leaders *leaders, int64_t now_ms);
