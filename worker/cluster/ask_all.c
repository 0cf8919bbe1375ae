/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/ask_all.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/http_client.h"
#include "common/loop.h"
#include "proto/ring.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/peer_channels.h"

#define ASK_MAGIC  MAGIC('A', 'S', 'K', 'A')
#define CONNECT_MS 1000 /* less than the whole: who is not there is known to be away */

/* One member's. */
struct asking {
	struct ask_all *all;
	struct peer_question question;
	struct peer_asked asked;
	struct http_call *call; /* NULL: not under way */
	bool head, again;       /* the head is proven; asked anew it may be */
	bool repeated, over_channel;
	struct error why;
};

struct ask_all {
	uint32_t magic;
	struct ask_all_spec spec;
	char *method, *target, *body;
	struct asking *askings;
	struct ask_all_answer *answers;
	size_t left; /* that have not ended */
	struct loop_timer timer;
	ask_all_done_f *done;
	void *arg;
};

static void all_free(struct ask_all *all)
{
	loop_timer_stop(all->spec.loop, &all->timer);
	for (size_t i = 0; i < all->spec.members_len; i++) {
		if (all->askings[i].call)
			http_call_cancel(TAKE(all->askings[i].call));
		peer_asked_fini(&all->askings[i].asked);
		free(all->answers[i].body);
	}
	snapshot_free(all->spec.question.snapshot);
	identity_free(all->spec.question.identity);
	free(all->method);
	free(all->target);
	free(all->body);
	free(all->askings);
	free(all->answers);
	all->magic = 0;
	free(all);
}

static void finish(void *arg)
{
	struct ask_all *all = OBJ_CAST(ask_all, ASK_MAGIC, arg);

	loop_assert(all->spec.loop);
	all->done(all->arg, all->answers, all->spec.members_len);
	all_free(all);
}

/* The last one's end comes from its own callback, and whoever is done may free us. */
static void one_less(struct ask_all *all)
{
	if (!--all->left)
		loop_timer_start(all->spec.loop, &all->timer, 0, finish, all);
}

static void on_late(void *arg)
{
	struct ask_all *all = OBJ_CAST(ask_all, ASK_MAGIC, arg);

	for (size_t i = 0; i < all->spec.members_len; i++) {
		struct asking *asking = &all->askings[i];

		if (!asking->call)
			continue;
		http_call_cancel(TAKE(asking->call));
		(void)error_set(&all->answers[i].err, ERROR_TIMEOUT, NULL,
			"member %s has not answered in %" PRId64 " ms", asking->question.member->id,
			all->spec.within_ms);
	}
	finish(all);
}

/* ---- one member ---- */

static struct ask_all_answer *answer_of(const struct asking *asking)
{
	return &asking->all->answers[asking - asking->all->askings];
}

static void on_head(void *arg, struct http_call *call)
{
	struct asking *asking = arg;

	asking->head = peer_question_answered(&asking->question, &asking->asked, http_call_status(call),
		http_call_headers(call), &asking->again, &asking->why);
	if (asking->head)
		http_call_collect(call, asking->all->spec.answer_max);
}

static bool ask(struct asking *asking);

/* As a kept connection that dies, a lost channel says nothing of the member. */
static bool is_worth_another(const struct asking *asking, const struct error *err)
{
	return !asking->repeated &&
	       (err ? asking->over_channel && err->kind != ERROR_TIMEOUT && err->kind != ERROR_TOO_LARGE
		    : asking->again);
}

static void on_done(void *arg, struct http_call *call, const struct error *err)
{
	struct asking *asking = arg;
	struct ask_all_answer *answer = answer_of(asking);

	loop_assert(asking->all->spec.loop);
	asking->call = NULL;
	if (is_worth_another(asking, err)) {
		asking->repeated = true;
		if (ask(asking))
			return;
		err = &asking->why;
	}
	/* One that is slow to answer this may be quick with all else. */
	if (err && err->kind == ERROR_UNAVAILABLE)
		cluster_peer_failed(asking->question.cluster, str_of(asking->question.member->id));
	if (err || !asking->head) {
		answer->err = err ? *err : asking->why;
	} else {
		struct str body = http_call_body(call);
		answer->answered = true;
		answer->status = http_call_status(call);
		answer->body = check_strndup(body.at ? body.at : "", body.len);
		answer->body_len = body.len;
	}
	one_less(asking->all);
}

static bool ask(struct asking *asking)
{
	struct ask_all *all = asking->all;
	struct http_call_spec spec = { .connect_ms = CONNECT_MS,
		.stall_ms = (unsigned)all->spec.within_ms,
		.total_ms = (unsigned)all->spec.within_ms,
		.has_body = all->spec.question.body.len > 0,
		.fresh = asking->repeated };

	asking->head = asking->again = false;
	peer_asked_fini(&asking->asked);
	if (!peer_question_sign(&asking->question, &asking->asked, &spec, &asking->why))
		return false;
	if (!asking->repeated)
		spec.channel = peer_channels_find(all->spec.channels, asking->question.snapshot,
			asking->question.member, spec.body.len);
	asking->over_channel = spec.channel;
	asking->call = http_call_start(all->spec.client, &spec,
		(struct http_call_events){ .arg = asking, .on_head = on_head, .on_done = on_done });
	return true;
}

static void begin_one(struct ask_all *all, size_t at)
{
	struct asking *asking = &all->askings[at];
	const struct ring_member *member = all->spec.members[at];

	asking->all = all;
	asking->question = all->spec.question;
	asking->question.member = all->answers[at].member = member;
	if (cluster_peer_is_away(all->spec.question.cluster, str_of(member->id)))
		(void)error_set(&all->answers[at].err, ERROR_UNAVAILABLE, NULL,
			"member %s could not be reached a moment ago", member->id);
	else if (!ask(asking))
		all->answers[at].err = asking->why;
	else
		return;
	one_less(all);
}

struct ask_all *ask_all_start(const struct ask_all_spec *spec, ask_all_done_f *done, void *arg)
{
	struct ask_all *all = xnew(struct ask_all);
	struct peer_question *question = &all->spec.question;

	loop_assert(spec->loop);
	CHECK(spec->within_ms > 0);
	all->magic = ASK_MAGIC;
	all->spec = *spec;
	all->done = done;
	all->arg = arg;
	question->snapshot = snapshot_ref(question->snapshot);
	question->identity = identity_ref(question->identity);
	question->method = all->method = check_strdup(question->method);
	question->target = all->target = check_strdup(question->target);
	all->body = question->body.len ? check_strndup(question->body.at, question->body.len) : NULL;
	question->body = str_from(all->body, question->body.len);
	all->askings = xnew_array(struct asking, spec->members_len + 1);
	all->answers = xnew_array(struct ask_all_answer, spec->members_len + 1);
	all->left = spec->members_len + 1; /* one of them is this function */
	for (size_t i = 0; i < spec->members_len; i++)
		begin_one(all, i);
	all->spec.members = NULL;
	if (all->left > 1)
		loop_timer_start(spec->loop, &all->timer, spec->within_ms, on_late, all);
	one_less(all);
	return all;
}

void ask_all_cancel(struct ask_all *all)
{
	CHECK(all->magic == ASK_MAGIC);
	loop_assert(all->spec.loop);
	all_free(all);
}
