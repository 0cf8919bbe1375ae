/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/complaints.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"

#define REMIND_MS   60000
#define SAY_MOST    10
#define SAY_SPAN_MS 60000

struct complaints {
	struct lock lock;
	char texts[COMPLAINTS][COMPLAINT_TEXT_MAX + 1]; /* "": it does not last */
	struct few said[COMPLAINTS];
	struct loop *loop;
	struct loop_timer timer; /* own loop */
};

static const struct {
	const char *name;
	bool counts;
} kinds[COMPLAINTS] = {
#define COMPLAINT_ROW(kind, name_, counts_) [COMPLAINT_##kind] = { .name = (name_), .counts = (counts_) },
	COMPLAINT_TABLE(COMPLAINT_ROW)
#undef COMPLAINT_ROW
};

struct complaints *complaints_new(void)
{
	struct complaints *complaints = xnew(struct complaints);

	lock_init(&complaints->lock);
	return complaints;
}

void complaints_free(struct complaints *complaints)
{
	if (!complaints)
		return;
	CHECK(!complaints->loop);
	lock_fini(&complaints->lock);
	free(complaints);
}

const char *complaint_name(enum complaint kind)
{
	return kinds[kind].name;
}

/* ---- the log ---- */

static void log_it(enum complaint kind, const char *text)
{
	log_warn("cluster.complaint", "kind=%s ready=%s what=%s", kinds[kind].name,
		kinds[kind].counts ? "no" : "yes", log_quote(str_of(text)));
}

static void remind(void *arg)
{
	struct complaints *complaints = arg;
	char text[COMPLAINT_TEXT_MAX + 1];

	loop_assert(complaints->loop);
	for (enum complaint kind = 0; kind < COMPLAINTS; kind++) {
		lock_take(&complaints->lock);
		memcpy(text, complaints->texts[kind], sizeof(text));
		lock_drop(&complaints->lock);
		if (text[0])
			log_it(kind, text);
	}
	loop_timer_start(complaints->loop, &complaints->timer, REMIND_MS, remind, complaints);
}

void complaints_start(struct complaints *complaints, struct loop *loop)
{
	loop_assert(loop);
	complaints->loop = loop;
	loop_timer_start(loop, &complaints->timer, REMIND_MS, remind, complaints);
}

void complaints_stop(struct complaints *complaints)
{
	if (!complaints->loop)
		return;
	loop_assert(complaints->loop);
	loop_timer_stop(complaints->loop, &complaints->timer);
	complaints->loop = NULL;
}

/* ---- what is said ---- */

/* It is a line of a page, and may hold what a stranger has sent. */
static void make_line(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
	}
}

void complaint_say(struct complaints *complaints, enum complaint kind, const char *format, ...)
{
	char text[COMPLAINT_TEXT_MAX + 1];
	bool tell;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	make_line(text);
	CHECK(text[0]);
	lock_take(&complaints->lock);
	tell = strcmp(complaints->texts[kind], text) != 0 &&
	       few_take(&complaints->said[kind], SAY_MOST, SAY_SPAN_MS, clock_ms());
	memcpy(complaints->texts[kind], text, sizeof(text));
	lock_drop(&complaints->lock);
	if (tell)
		log_it(kind, text);
}

void complaint_end(struct complaints *complaints, enum complaint kind)
{
	bool lasted, tell;

	lock_take(&complaints->lock);
	lasted = complaints->texts[kind][0];
	complaints->texts[kind][0] = '\0';
	tell = lasted && few_take(&complaints->said[kind], SAY_MOST, SAY_SPAN_MS, clock_ms());
	lock_drop(&complaints->lock);
	if (tell)
		log_info("cluster.complaint_over", "kind=%s", kinds[kind].name);
}

bool complaint_lasts(struct complaints *complaints, enum complaint kind)
{
	bool lasts;

	lock_take(&complaints->lock);
	lasts = complaints->texts[kind][0];
	lock_drop(&complaints->lock);
	return lasts;
}

bool complaints_write(struct complaints *complaints, struct buf *into)
{
	bool ready = true;

	lock_take(&complaints->lock);
	for (enum complaint kind = 0; kind < COMPLAINTS; kind++) {
		if (!complaints->texts[kind][0])
			continue;
		buf_format(into, "%s: %s\n", kinds[kind].name, complaints->texts[kind]);
		ready &= !kinds[kind].counts;
	}
	lock_drop(&complaints->lock);
	return ready;
}
