/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_gather - a question is answered by this member and the others (search_others.h), as if there were one.
 *
 * Thread  that of the request.
 */
#pragma once

#include "worker/search/search_others.h"
#include "worker/search/search_question.h"

enum search_gathered { SEARCH_GATHERED, SEARCH_WAITS, SEARCH_FAILED };

/* Names, as far as they are told: text, and a JSON list. */
struct search_missing {
	unsigned len;     /* have no part in the answer */
	unsigned partial; /* have not derived all that they own */
	struct buf names, json, partial_names, partial_json;
};
void search_missing_fini(struct search_missing *missing);
/* WAITS: it is now among what is asked. FAILED: err; and ret_missing may be why. */
enum search_gathered search_gather(struct search_others *others, struct metadata *metadata, const struct search_question *question,
				   struct arena *arena, struct search_records *ret, struct search_missing *ret_missing, struct error *err);
/* Somebody was asked already. */
bool search_others_were_asked(const struct search_others *others);
