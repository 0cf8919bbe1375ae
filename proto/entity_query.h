/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_query - which entities of a kind, and in which order: what a list asks for, by the fields of the kind (entity_fields.def).
 *
 *     filter  "owner:ann"  "enabled:true"  "dailyQuota:100"   the field is this; "label:ci-*" it begins so
 *             "tags:prod"  "tag:prod"  "users:an*"            one of the list is
 *             "metadata:team"  "metadata:team=red"            the key is there, with this value
 *             "id:team*"                                      the id too is a field
 *     words   "build server"                                  each of them is in the id or the label, upper or lower case
 *     sort    "label"  "-dailyQuota"                          ascending, descending; of equal values by id
 *
 * All that is asked for must hold. What cannot be read (hashes of secrets) cannot be asked for. An unknown field is an error that names the
 * nearest. Bounds: 16 filters, 8 words.
 *
 * Thread  any.
 */
#pragma once

#include "proto/entity.h"

#define ENTITY_QUERY_FILTERS 16
#define ENTITY_QUERY_WORDS   8

struct field;
struct entity_filter {
	const struct field *field; /* NULL: the id */
	struct str text;           /* wanted, or its beginning; of pairs the key */
	struct str value;          /* of pairs, behind the '=' */
	bool begins, has_value;
	int64_t number;            /* numbers, times and bools */
};
/* Texts are borrowed from whoever asks. */
struct entity_query {
	enum entity_kind kind;
	struct entity_filter filters[ENTITY_QUERY_FILTERS];
	size_t filters_len;
	struct str words[ENTITY_QUERY_WORDS];
	size_t words_len;
	const struct field *sort;  /* NULL: by id */
	bool descending;
};

bool entity_query_filter(struct entity_query *query, struct str text, struct error *err) MUST_CHECK;
bool entity_query_words(struct entity_query *query, struct str text, struct error *err) MUST_CHECK;
bool entity_query_sort(struct entity_query *query, struct str text, struct error *err) MUST_CHECK;
bool entity_query_is_plain(const struct entity_query *query); /* all entities, by id */
bool entity_query_matches(const struct entity_query *query, const struct entity *entity);

/* Where an entity stands in the order; borrowed from it. */
struct entity_place {
	struct str text;           /* its value of the field, where that is a text */
	int64_t number;            /* else */
	struct str id;
};
struct entity_place entity_query_place(const struct entity_query *query, const struct entity *entity);
/* The same, of an entity that may be gone: what entity_query_value() wrote of it. */
bool entity_query_place_of(const struct entity_query *query, struct str value, struct str id, struct entity_place *ret,
			   struct error *err) MUST_CHECK;
void entity_query_value(const struct entity_query *query, const struct entity_place *place, struct buf *into);
/* Below 0: a comes first. */
int entity_query_compare(const struct entity_query *query, const struct entity_place *a, const struct entity_place *b);
