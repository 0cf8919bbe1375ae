/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphql_execute - a query is answered: JSON goes straight into a buffer.
 *
 *     {"data":{...},"errors":[...]}
 *
 * A field's resolver gets the object that the field is of, and puts its value by one of graphql_put_...():
 *
 *     static bool image_tag(struct graphql_call *call, const void *object, struct error *err)
 *     {
 *             graphql_put_text(call, ((const struct image *)object)->tag);
 *             return true;
 *     }
 *
 * graphql_put_object() answers the fields of an object at once, before it returns; its resolvers have the same rules. A list is what is
 * put between graphql_list_open() and graphql_list_close(). A resolver that puts nothing has put null.
 *
 * Errors  A resolver that returns false made an error: the field is null, and the answer has the message with its path. Null where the
 *         type has "!" makes the object that the field is of null, and so on upwards. What was written of it is cut off again.
 * Limits  Bytes of the answer, and a question to the host every few fields whether to go on: the answer is then errors alone.
 *         Resolvers of long lists ask graphql_call_stopped().
 * Int     is written with 64 bits where a resolver has so many. The specification has 32; counts and sizes have more.
 * Thread  one at a time. A query is executed once, the one of a selection as often as one likes.
 * Source  GraphQL, October 2021, sections 6.3, 6.4 and 7.
 */
#pragma once

#include "graphql/graphql_query.h"

struct graphql_run {
	void *context;                      /* graphql_call_context() */
	const void *const *roots;           /* for each field of the root, in their order, the object its resolver gets; NULL: none */
	bool (*may_go_on)(void *context);   /* NULL: yes. False: there is no time any more. */
	size_t output_max;                  /* 0: GRAPHQL_OUTPUT_MAX */
};
/* Of a query that is ok. False: it was stopped, and what was appended is errors alone. */
bool graphql_execute(struct graphql_query *query, const struct graphql_run *run, struct buf *into);
/* Of a selection that is ok, for one object: appends {...} or null. Errors come to those of the query. False: stopped, nothing is appended. */
bool graphql_execute_object(struct graphql_query *query, const struct graphql_run *run, const void *object, struct buf *into) MUST_CHECK;

/* What a resolver may ask. */
void *graphql_call_context(const struct graphql_call *call);
int   graphql_call_number(const struct graphql_call *call); /* of the field's row */
const struct graphql_value    *graphql_argument(const struct graphql_call *call, const char *name); /* as graphql_selected_argument() */
const struct graphql_selected *graphql_call_selected(const struct graphql_call *call);
bool graphql_call_stopped(const struct graphql_call *call); /* whatever is put now is lost */

/* What it puts: once, or in a list as often as there are items. Another kind than the field's type has is an error in the answer. */
void graphql_put_null(struct graphql_call *call);
void graphql_put_str(struct graphql_call *call, struct str value);   /* String, ID, enums, own scalars */
void graphql_put_text(struct graphql_call *call, const char *value); /* the same; NULL: null */
void graphql_put_int(struct graphql_call *call, int64_t value);      /* Int, Float */
void graphql_put_real(struct graphql_call *call, double value);      /* Float; what is no number: null */
void graphql_put_bool(struct graphql_call *call, bool value);
void graphql_put_object(struct graphql_call *call, const void *object); /* NULL: null */
/* JSON of an object that was answered elsewhere, for the same fields; "null" is null. */
void graphql_put_done(struct graphql_call *call, struct str json);
void graphql_list_open(struct graphql_call *call);
void graphql_list_close(struct graphql_call *call);

/* An error beside a value that is there nevertheless. extensions: a JSON object, or STR_NONE. */
void graphql_complain(struct graphql_call *call, const char *message, struct str extensions);
