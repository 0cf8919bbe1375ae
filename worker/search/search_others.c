/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_others - a question is known by its bytes: run again, a request asks the same ones, and finds their answers.
 */
#include "worker/search/search_others.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/least.h"
#include "worker/search/search_gather.h"
#include "worker/search/search_others_priv.h"
#include "worker/search/search_wire.h"

#define ANSWER_LEAST ((size_t)256 * 1024)
#define ANSWERS_MAX  ((size_t)128 * 1024 * 1024) /* bytes of all members of a cluster, each the same */

struct search_others *search_others_new(const struct search_cluster *cluster)
{
	struct search_others *others = xnew(struct search_others);

	others->cluster = *cluster;
	others->cluster.ring = ring_ref(cluster->ring);
	others->members_len = ring_len(cluster->ring);
	others->members = xnew_array(struct search_member, others->members_len + 1);
	return others;
}

void search_others_free(struct search_others *others)
{
	if (!others)
		return;
	for (size_t i = 0; i < others->asked_len; i++) {
		free(others->asked[i].bytes);
		free(others->asked[i].parts);
	}
	for (size_t i = 0; i < others->bodies_len; i++)
		free(others->bodies[i]);
	free(others->bodies);
	free(others->members);
	ring_free(others->cluster.ring);
	free(others);
}

bool search_others_were_asked(const struct search_others *others)
{
	return others->asked_len && others->asked[0].ended;
}

/* ---- a round ---- */

bool search_others_is_for(const struct search_others *others, const struct search_asked *asked, size_t place)
{
	if ((int)place == others->cluster.self)
		return false;
	if (asked->target != SEARCH_ALL)
		return asked->target == (int)place;
	return others->cluster.isolated || ring_at(others->cluster.ring, place)->active;
}

static bool is_asked(const struct search_others *others, const struct search_asked *asked, size_t place)
{
	return !asked->ended && !others->members[place].missing && search_others_is_for(others, asked, place);
}

size_t search_others_answer_max(const struct search_others *others, size_t place)
{
	size_t bytes = 0;

	for (size_t i = 0; i < others->asked_len; i++)
		if (is_asked(others, &others->asked[i], place))
			bytes += others->asked[i].most;
	return least(least(bytes, SEARCH_ANSWER_MAX), most(ANSWER_LEAST, ANSWERS_MAX / others->members_len));
}

bool search_others_ask(const struct search_others *others, size_t place, struct buf *into)
{
	struct search_wire_head head = { .ring = others->cluster.isolated ? 0 : others->cluster.mark,
		.most = search_others_answer_max(others, place) };

	for (size_t i = 0; i < others->asked_len; i++)
		if (is_asked(others, &others->asked[i], place))
			head.parts[head.len++] = str_from(others->asked[i].bytes, others->asked[i].len);
	if (head.len)
		search_wire_put_ask(&head, into);
	return head.len > 0;
}

static size_t count_asked(const struct search_others *others, size_t place)
{
	size_t n = 0;

	for (size_t i = 0; i < others->asked_len; i++)
		n += is_asked(others, &others->asked[i], place);
	return n;
}

void search_others_miss(struct search_others *others, size_t place)
{
	others->members[place].missing = true;
}

bool search_others_answer(
	struct search_others *others, size_t place, char *bytes, size_t len, struct error *err)
{
	struct search_wire_head head;
	size_t at = 0;

	others->bodies = realloc(others->bodies, (others->bodies_len + 1) * sizeof(*others->bodies));
	CHECK(others->bodies);
	others->bodies[others->bodies_len++] = bytes;
	if (!search_wire_get_answer(str_from(bytes, len), &head, err) ||
		(head.len != count_asked(others, place) &&
			!error_set(err, ERROR_INVALID, NULL, "it answered another number of questions"))) {
		search_others_miss(others, place);
		return false;
	}
	for (size_t i = 0; i < others->asked_len; i++)
		if (is_asked(others, &others->asked[i], place))
			others->asked[i].parts[place] = head.parts[at++];
	others->members[place].partial |= !head.whole;
	return true;
}

bool search_others_garbled(struct search_others *others, size_t place)
{
	bool garbled = others->members[place].garbled;

	others->members[place].garbled = false;
	return garbled;
}

void search_others_end(struct search_others *others)
{
	for (size_t i = 0; i < others->asked_len; i++)
		others->asked[i].ended = true;
}

/* ---- a question ---- */

struct search_asked *search_others_find(struct search_others *others, struct str bytes, int target)
{
	for (size_t i = 0; i < others->asked_len; i++)
		if (others->asked[i].target == target &&
			str_equal(str_from(others->asked[i].bytes, others->asked[i].len), bytes))
			return &others->asked[i];
	return NULL;
}

struct search_asked *search_others_add(
	struct search_others *others, struct str bytes, int target, size_t most_bytes)
{
	struct search_asked *asked = &others->asked[others->asked_len];

	if (others->asked_len == SEARCH_ASKED_MOST)
		return NULL;
	others->asked_len++;
	*asked = (struct search_asked){ .bytes = check_strndup(bytes.at, bytes.len),
		.len = bytes.len,
		.target = target,
		.most = most_bytes,
		.parts = xnew_array(struct str, others->members_len + 1) };
	return asked;
}
