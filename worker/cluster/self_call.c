/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/self_call.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/leader_call.h"

#define TOTAL_MS 5000

struct self_call {
	struct self_ask ask;
	char *path, *body;
	size_t first, tried; /* of the leaders */
	struct http_call *call;
	self_done_f *done;
	void *arg;
};

static void try_next(struct self_call *self);

static void self_free(struct self_call *self)
{
	free(self->path);
	if (self->body)
		explicit_bzero(self->body, self->ask.body.len);
	free(self->body);
	free(self);
}

static const struct setting_list *urls(const struct self_call *self)
{
	return &self->ask.cluster->settings.leader_urls;
}

static const char *url_now(const struct self_call *self)
{
	return urls(self)->at[(self->first + self->tried) % urls(self)->len];
}

static void finish(struct self_call *self, unsigned status, struct str body)
{
	self->done(self->arg, status, body);
	self_free(self);
}

/* Nothing was changed for certain, or nothing can be. */
static bool may_ask_another(const struct self_call *self, struct http_call *call, const struct error *err)
{
	size_t most = urls(self)->len == 1 && self->ask.made_once ? 2 : urls(self)->len;

	if (self->tried + 1 >= most)
		return false;
	if (!err)
		return http_call_status(call) == 503;
	return err->kind == ERROR_UNAVAILABLE || self->ask.method == HTTP_GET || self->ask.made_once;
}

static void on_head(void *arg, struct http_call *call)
{
	const struct self_call *self = arg;

	loop_assert(self->ask.loop);
	http_call_collect(call, SELF_ANSWER_MAX);
}

static void on_done(void *arg, struct http_call *call, const struct error *err)
{
	struct self_call *self = arg;

	loop_assert(self->ask.loop);
	self->call = NULL;
	if (err)
		log_info("self.leader", "url=%s error=%s", url_now(self), log_quote(str_of(err->text)));
	if (may_ask_another(self, call, err)) {
		self->tried++;
		try_next(self);
	} else if (err) {
		finish(self, 0, STR_NONE);
	} else {
		finish(self, http_call_status(call), http_call_body(call));
	}
}

static void try_next(struct self_call *self)
{
	const struct leader_call call = { .cluster = self->ask.cluster,
		.loop = self->ask.loop,
		.client = self->ask.client,
		.leader = url_now(self),
		.method = http_method_name(self->ask.method),
		.path = self->path,
		.body = self->ask.body,
		.total_ms = TOTAL_MS };

	self->call = leader_call_start(
		&call, (struct http_call_events){ .arg = self, .on_head = on_head, .on_done = on_done });
}

struct self_call *self_call_start(const struct self_ask *ask, self_done_f *done, void *arg)
{
	struct self_call *self = xnew(struct self_call);

	loop_assert(ask->loop);
	*self = (struct self_call){ .ask = *ask, .done = done, .arg = arg };
	self->path = check_strdup(ask->path);
	self->body = ask->body.len ? check_strndup(ask->body.at, ask->body.len) : NULL;
	self->ask.body = str_from(self->body, ask->body.len);
	self->first = random_below(urls(self)->len);
	try_next(self);
	return self;
}

void self_call_cancel(struct self_call *self)
{
	loop_assert(self->ask.loop);
	if (self->call)
		http_call_cancel(self->call);
	self_free(self);
}
