/* SPDX-License-Identifier: Apache-2.0 */
#include "common/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"

#define TERMINAL_MS 200
#define LINES_MS    10000

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	int64_t now = clock_ms();

	*progress = (struct progress){ .what = what,
		.total = total,
		.begun_ms = now,
		.told_ms = now,
		.terminal = isatty(STDERR_FILENO) == 1 };
	if (progress->terminal)
		progress->told_ms -= TERMINAL_MS;
}

void progress_format(const struct progress *progress, int64_t ms, char *into, unsigned long size)
{
	uint64_t rate = ms > 0 ? progress->done * 1000 / (uint64_t)ms : 0;
	int n = progress->total ? snprintf(into, size, "%" PRIu64 " of %" PRIu64 " %s, %" PRIu64 " a second",
					  progress->done, progress->total, progress->what, rate)
				: snprintf(into, size, "%" PRIu64 " %s, %" PRIu64 " a second", progress->done,
					  progress->what, rate);

	if (n > 0 && (unsigned long)n < size && rate && progress->total > progress->done)
		(void)snprintf(into + n, size - (unsigned long)n, ", %" PRIu64 " s left",
			(progress->total - progress->done + rate - 1) / rate);
}

void progress_tell(struct progress *progress, uint64_t done)
{
	int64_t now = clock_ms();
	char line[160];

	progress->done = done;
	if (now - progress->told_ms < (progress->terminal ? TERMINAL_MS : LINES_MS))
		return;
	progress->told_ms = now;
	progress->shown = true;
	progress_format(progress, now - progress->begun_ms, line, sizeof(line));
	(void)fprintf(stderr, progress->terminal ? "\r\033[K%s" : "%s\n", line);
	(void)fflush(stderr);
}

void progress_clear(struct progress *progress)
{
	if (progress->terminal && progress->shown)
		(void)fputs("\r\033[K", stderr);
}

void progress_end(struct progress *progress)
{
	progress_clear(progress);
	progress->shown = false;
}
