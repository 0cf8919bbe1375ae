/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - logfmt or JSON lines on stderr; event first, then key=value.
 *
 *     log_info("pull.done", "name=%.*s bytes=%" PRIu64, STR_ARGS(name), bytes);
 *
 * Levels: error = a person must act; warn = we coped ("..., ignoring"); info = one line for a
 * request or a change of role or revision; debug = free. Text from outside goes through
 * log_quote(). In JSON mode the key=value pairs become members; both come from the same call.
 * Who ends the story logs it, once; common/ and proto/ do not log above debug.
 *
 * Thread  any; a line is one write(2).
 */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"
#include "common/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_init(enum log_level least, bool json);
/* Appends to this file instead of stderr; false with errno when it cannot be opened. */
bool log_open(const char *path) MUST_CHECK;
bool log_enabled(enum log_level level);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
void log_line(enum log_level level, const char *event, const char *format, ...) PRINTF(3, 4);

/* s with quotes around it and everything unprintable escaped, cut at the size of a ring of four
 * static thread-local buffers: usable up to four times in one call. */
const char *log_quote(struct str s);
