/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/past.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/list.h"
#include "common/map.h"

struct one {
	struct list in_order;
	uint64_t number;
	int64_t heard_ms;
	char *process;
};

struct past {
	struct list order; /* oldest first */
	struct map *known;
	int64_t dropped_ms; /* when any that went was heard last */
};

struct past *past_new(void)
{
	struct past *past = xnew(struct past);

	list_init(&past->order);
	past->known = map_new();
	return past;
}

static void drop(struct past *past, struct one *one)
{
	if (one->heard_ms > past->dropped_ms)
		past->dropped_ms = one->heard_ms;
	list_drop(&one->in_order);
	(void)map_delete(past->known, str_of(one->process));
	free(one->process);
	free(one);
}

static struct one *oldest(struct past *past)
{
	return LIST_OF(struct one, in_order, list_first(&past->order));
}

void past_free(struct past *past)
{
	if (!past)
		return;
	while (oldest(past))
		drop(past, oldest(past));
	map_free(past->known);
	free(past);
}

uint64_t past_find(const struct past *past, const char *process)
{
	const struct one *one = map_find(past->known, str_of(process));

	return one ? one->number : 0;
}

int64_t past_heard_ms(const struct past *past, const char *process)
{
	const struct one *one = map_find(past->known, str_of(process));

	return one ? one->heard_ms : past->dropped_ms;
}

static struct one *add(struct past *past, const char *process)
{
	struct one *one = xnew(struct one);

	if (map_len(past->known) == PAST_MAX)
		drop(past, oldest(past));
	one->process = check_strdup(process);
	(void)map_put(past->known, str_of(process), one);
	return one;
}

void past_put(struct past *past, const char *process, uint64_t number, int64_t heard_ms)
{
	struct one *one = map_find(past->known, str_of(process));

	if (!one)
		one = add(past, process);
	if (number > one->number)
		one->number = number;
	if (heard_ms > one->heard_ms)
		one->heard_ms = heard_ms;
	list_drop(&one->in_order);
	list_push(&past->order, &one->in_order);
}
