/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/chore_view.h"

#include <string.h>

#include "common/clock.h"

#define EXAMPLE "{\"chore\":\"gc\",\"action\":\"start\",\"dryRun\":true}"

static void put_text(struct json_writer *w, const char *key, const char *text)
{
	if (text && *text)
		json_put_text(w, key, text);
}

static void put_uint(struct json_writer *w, const char *key, uint64_t number)
{
	if (number)
		json_put_uint(w, key, number);
}

static void put_time(struct json_writer *w, const char *key, uint64_t at_s)
{
	char text[CLOCK_RFC3339_SIZE];

	if (!at_s || at_s > INT64_MAX / 1000)
		return;
	clock_rfc3339((int64_t)at_s * 1000, text);
	json_put_text(w, key, text);
}

static void put_run(struct json_writer *w, const char *key, const struct usage_run *run, bool over)
{
	json_key(w, str_of(key));
	json_open_object(w);
	put_text(w, "how", run->how);
	if (run->dry_run)
		json_put_bool(w, "dryRun", true);
	put_text(w, "what", run->unit);
	if (run->unit && *run->unit)
		json_put_uint(w, "done", run->done);
	put_uint(w, "total", run->total);
	put_uint(w, "about", run->about);
	put_text(w, "at", run->what);
	put_uint(w, "removed", run->removed);
	put_uint(w, "bytes", run->bytes);
	put_time(w, over ? "ended" : "began", run->at_s);
	if (over)
		json_put_uint(w, "ms", run->ms);
	put_text(w, "error", run->error);
	json_close_object(w);
}

void chore_view_write(const struct usage_chore *chore, struct json_writer *writer)
{
	const char *state = chore->state && *chore->state ? chore->state : "idle";

	json_open_object(writer);
	json_put_text(writer, "name", chore->name);
	json_put_text(writer, "state", state);
	json_put_bool(writer, "canDryRun", chore->can_dry_run);
	put_uint(writer, "order", chore->order);
	if (!strcmp(state, "running"))
		put_run(writer, "run", &chore->run, false);
	if (chore->last.how && *chore->last.how)
		put_run(writer, "last", &chore->last, true);
	json_close_object(writer);
}

static bool read_dry_run(const struct json *root, struct chore_view_order *order, struct error *err)
{
	const struct json *node = json_find(root, "dryRun");

	if (node && !json_get_bool(node, &order->dry_run))
		return error_set(err, ERROR_INVALID, NULL, "dryRun: true or false, not %s",
			json_kind_name(json_kind(node)));
	return !order->dry_run || !order->stop ||
	       error_set(err, ERROR_INVALID, NULL, "dryRun: is for \"start\" alone");
}

bool chore_view_order_parse(struct str body, struct chore_view_order *ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct chore_view_order order = { 0 };
	struct str action, chore;

	if (!json_parse(body, &doc, err))
		return error_add(err, "the body");
	if (json_kind(json_root(doc)) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, NULL, "the body must be a JSON object, not %s",
			json_kind_name(json_kind(json_root(doc))));
	chore = json_str(json_find(json_root(doc), "chore"));
	if (!chore.len || !str_copy(chore, order.chore, sizeof(order.chore)))
		return error_set(err, ERROR_INVALID, NULL, "chore: needed, the name of one, as in " EXAMPLE);
	action = json_str(json_find(json_root(doc), "action"));
	order.stop = str_is(action, "stop");
	if (!order.stop && !str_is(action, "start"))
		return error_set(
			err, ERROR_INVALID, NULL, "action: needed, \"start\" or \"stop\", as in " EXAMPLE);
	if (!read_dry_run(json_root(doc), &order, err))
		return false;
	*ret = order;
	return true;
}
