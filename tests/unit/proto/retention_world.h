/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_world - a repository of which everything is said in rows, and what a retention lets stay of it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "proto/retention_decide.h"

#define HOUR_MS INT64_C(3600000)
#define NOW_MS  INT64_C(1800000000000)
#define UNKNOWN (-1)
#define NEVER   0
#define ROWS    32

/* Hours ago, UNKNOWN, or for a pull NEVER. */
struct tag_row {
	const char *name;
	int pushed, pulled;
	size_t manifest;
	bool immutable;
};

struct world {
	struct retention_tag tags[ROWS];
	struct retention_manifest manifests[ROWS];
	struct retention_repository repository;
	struct retention_verdict tag_verdicts[ROWS], verdicts[ROWS];
	struct retention *retention;
	struct retention_terms terms;
};

static inline int64_t at(int hours)
{
	return hours == UNKNOWN ? RETENTION_UNKNOWN : NOW_MS - hours * HOUR_MS;
}

static inline struct retention_facts facts(int pushed, int pulled)
{
	return (struct retention_facts){ at(pushed), pulled == NEVER ? 0 : at(pulled) };
}

static inline void policies(struct world *world, const char *text)
{
	AUTO(json_doc) *doc = NULL;
	struct error err;

	retention_free(world->retention);
	world->retention = NULL;
	if (text && (!json_parse(str_of(text), &doc, &err) ||
			    !retention_new(&world->retention, json_root(doc), &err)))
		fail_msg("%s: %s", text, err.text);
	world->terms = retention_terms(world->retention, STR("team/app"), HOUR_MS);
}

/* n manifests, that nothing is known of but that they are there; each untagged, without links. */
static inline void manifests(struct world *world, size_t n)
{
	memset(world->manifests, 0, sizeof(world->manifests));
	for (size_t i = 0; i < n; i++) {
		world->manifests[i].digest = digest_of(HASH_SHA256, str_from(&i, sizeof(i)));
		world->manifests[i].subject = RETENTION_NONE;
		world->manifests[i].facts = facts(UNKNOWN, UNKNOWN);
	}
	world->repository = (struct retention_repository){ world->tags, 0, world->manifests, n };
}

static inline void add_tag(struct world *world, struct tag_row row)
{
	world->tags[world->repository.tags_len++] = (struct retention_tag){ .name = row.name,
		.manifest = row.manifest,
		.subject = RETENTION_NONE,
		.immutable = row.immutable,
		.facts = facts(row.pushed, row.pulled) };
}

/* Each names a manifest of its own. */
struct own_tag {
	const char *name;
	int pushed, pulled;
};

static inline void tags(struct world *world, const struct own_tag *rows, size_t n)
{
	manifests(world, n);
	for (size_t i = 0; i < n; i++)
		add_tag(world, (struct tag_row){ rows[i].name, rows[i].pushed, rows[i].pulled, i, false });
}
#define TAGS(world, ...) \
	tags(world, (const struct own_tag[]){ __VA_ARGS__ }, \
		sizeof((const struct own_tag[]){ __VA_ARGS__ }) / sizeof(struct own_tag))

static inline void decide(struct world *world)
{
	retention_decide(&world->terms, &world->repository, NOW_MS, world->tag_verdicts, world->verdicts);
}

/* Names of the tags that stay, a blank between. */
static inline void stay(struct world *world, const char *names)
{
	AUTO_FINI(buf) found = buf_limit(4096);

	decide(world);
	for (size_t i = 0; i < world->repository.tags_len; i++)
		if (retention_keeps(world->tag_verdicts[i]))
			buf_format(&found, "%s%s", found.len ? " " : "", world->tags[i].name);
	assert_string_equal(buf_text(&found), names);
}

/* A letter for each manifest: K stays, - goes. */
static inline void manifests_stay(struct world *world, const char *letters)
{
	char found[ROWS + 1] = { 0 };

	decide(world);
	for (size_t i = 0; i < world->repository.manifests_len; i++)
		found[i] = retention_keeps(world->verdicts[i]) ? 'K' : '-';
	assert_string_equal(found, letters);
}

static inline int setup(void **state)
{
	*state = calloc(1, sizeof(struct world));
	return *state ? 0 : -1;
}

static inline int teardown(void **state)
{
	retention_free(((struct world *)*state)->retention);
	free(*state);
	return 0;
}
