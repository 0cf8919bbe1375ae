/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/catalog_gather.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/merge.h"
#include "proto/name_lines.h"
#include "worker/oci/catalog.h"

struct part {
	struct name_lines names;
	size_t used;           /* names that are in the page already */
	size_t gave;           /* the same, of all rounds */
	bool asked, put, more; /* more: behind its names */
	bool out;              /* lost in the first round */
};

struct catalog_gather {
	size_t n, taken, share, first_share, round, len;
	char after[OCI_LAST_MAX + 1];
	struct catalog_page page;
	bool full, more; /* full: the page takes no other name, whatever n is */
	struct merge_part *merged;
	struct part parts[];
};

static size_t root_of(size_t number)
{
	size_t root = 0;

	while ((root + 1) * (root + 1) <= number)
		root++;
	return root;
}

/* So many are expected: nearly always it is no more than that, and never more than `most`. */
static size_t with_margin(size_t expected, size_t most)
{
	size_t many = expected + 3 * root_of(expected) + 1;

	return many < most ? many : most;
}

size_t catalog_share(size_t n, size_t parts)
{
	CHECK(parts);
	return parts > 1 ? with_margin((n + parts - 1) / parts, n) : n;
}

struct catalog_gather *catalog_gather_new(const struct oci_page *page, size_t parts)
{
	struct catalog_gather *gather = check_alloc(1, sizeof(*gather) + parts * sizeof(gather->parts[0]));

	CHECK(page->n);
	gather->n = page->n;
	gather->len = parts;
	gather->share = gather->first_share = catalog_share(page->n, parts ? parts : 1);
	gather->merged = xnew_array(struct merge_part, parts + 1);
	CHECK(str_copy(str_of(page->last), gather->after, sizeof(gather->after)));
	catalog_page_begin(&gather->page);
	for (size_t i = 0; i < parts; i++)
		gather->parts[i].asked = true;
	return gather;
}

void catalog_gather_free(struct catalog_gather *gather)
{
	if (!gather)
		return;
	for (size_t i = 0; i < gather->len; i++)
		name_lines_fini(&gather->parts[i].names);
	buf_fini(&gather->page.body);
	free(gather->merged);
	free(gather);
}

bool catalog_gather_asks(const struct catalog_gather *gather, size_t part)
{
	CHECK(part < gather->len);
	return gather->parts[part].asked;
}

const char *catalog_gather_after(const struct catalog_gather *gather)
{
	return gather->after;
}

size_t catalog_gather_share(const struct catalog_gather *gather)
{
	return gather->share;
}

bool catalog_gather_is_first(const struct catalog_gather *gather)
{
	return !gather->round;
}

/* ---- what was answered ---- */

static struct part *part_of(struct catalog_gather *gather, size_t at)
{
	struct part *part = &gather->parts[at];

	CHECK(at < gather->len && part->asked && !part->put);
	return part;
}

/* What it had is all behind what it has now, or was passed. */
static void replace(struct part *part, const struct name_lines *names)
{
	name_lines_fini(&part->names);
	part->names = *names;
	part->more = names->more;
	part->used = 0;
	part->put = true;
}

bool catalog_gather_put(struct catalog_gather *gather, size_t at, char **text, size_t len, struct error *err)
{
	struct part *part = part_of(gather, at);
	struct name_lines names;

	if (!name_lines_parse(text, len, gather->after, gather->share, &names, err))
		return false;
	replace(part, &names);
	return true;
}

bool catalog_gather_put_own(struct catalog_gather *gather, size_t at, struct buf *lines, struct error *err)
{
	struct part *part = part_of(gather, at);
	struct name_lines names;

	if (!name_lines_take(lines, &names, err))
		return false;
	replace(part, &names);
	return true;
}

/* ---- the page ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool take(void *arg, const void *item)
{
	struct catalog_gather *gather = arg;

	gather->full = !catalog_page_take(&gather->page, str_of(item));
	gather->taken += !gather->full;
	return !gather->full;
}

/* Those that were asked in vain: out, or with what they had before. False: there are some of these. */
static bool settle(struct catalog_gather *gather)
{
	bool lost = false;

	for (size_t i = 0; i < gather->len; i++) {
		struct part *part = &gather->parts[i];

		if (part->asked && !part->put) {
			part->out = !gather->round;
			lost |= !part->out;
		}
		part->asked = part->put = false;
	}
	return !lost;
}

static size_t names_left(const struct part *part)
{
	return part->names.len - part->used;
}

static void merge_once(struct catalog_gather *gather)
{
	size_t len = 0;

	for (size_t i = 0; i < gather->len; i++) {
		const struct part *part = &gather->parts[i];

		if (!part->out)
			gather->merged[len++] = (struct merge_part){ .items = part->names.at + part->used,
				.len = names_left(part),
				.more = part->more };
	}
	gather->more = merge_parts(gather->merged, len, by_name, gather->n - gather->taken, take, gather);
	if (!*gather->page.last)
		return;
	CHECK(str_copy(str_of(gather->page.last), gather->after, sizeof(gather->after)));
	for (size_t i = 0; i < gather->len; i++) {
		struct part *part = &gather->parts[i];

		while (part->used < part->names.len &&
			strcmp(part->names.at[part->used], gather->after) <= 0) {
			part->used++;
			part->gave++;
		}
	}
}

/* Of a part that ended the page the rest may be all; of another one it has about as many as what is there already. The share is for the one that is
 * to give most, within the bound for all. */
static void ask_those_that_end(struct catalog_gather *gather)
{
	size_t rest = gather->n - gather->taken, asked = 0, most = 0, all = gather->len * gather->first_share;

	for (size_t i = 0; i < gather->len; i++) {
		struct part *part = &gather->parts[i];
		size_t left = names_left(part);
		size_t wanted = left ? with_margin(rest * part->gave / gather->taken, rest) : rest;

		part->asked = part->more && part->gave && left < wanted;
		if (!part->asked)
			continue;
		asked++;
		most = wanted > most ? wanted : most;
	}
	CHECK(asked);
	gather->share = most < all / asked ? most : all / asked;
}

bool catalog_gather_merge(struct catalog_gather *gather)
{
	bool whole = settle(gather);

	merge_once(gather);
	if (!gather->more || gather->taken == gather->n || gather->full || !whole ||
		++gather->round == CATALOG_ROUNDS)
		return false;
	ask_those_that_end(gather);
	return true;
}

bool catalog_gather_has_any(const struct catalog_gather *gather)
{
	for (size_t i = 0; i < gather->len; i++)
		if (!gather->parts[i].out)
			return true;
	return false;
}

struct catalog_page *catalog_gather_page(struct catalog_gather *gather, bool *ret_more)
{
	*ret_more = gather->more;
	return &gather->page;
}
