/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_drain - drain, undrain, evacuate, and rescue.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "leader/ctl/client.h"
#include "leader/ctl/show.h"

#define PATH_MAX_BYTES 16384
#define AGAIN_MS       1000

static int ask_once(struct client *client, const struct client_ask *ask, const struct command_call *call,
	unsigned *ret_status)
{
	struct http_result result;
	int status = client_send(client, ask, &result);

	*ret_status = result.status;
	if (status == CTL_DONE && result.status == 200 && command_option(call, "--json"))
		show_bytes(buf_str(&result.body));
	http_result_fini(&result);
	return status;
}

/* 202: the member is not empty yet. It is drained meanwhile, and that may be asked for again. */
static int ask_until_done(
	struct client *client, const struct client_ask *ask, const struct command_call *call)
{
	unsigned answer;
	bool said = false;
	int status;

	while ((status = ask_once(client, ask, call, &answer)) == CTL_DONE && answer == 202) {
		if (!said)
			ctl_say("%s is drained, and not empty yet; waiting", call->argument);
		said = true;
		(void)poll(NULL, 0, AGAIN_MS);
	}
	return status;
}

static int act(const struct command_call *call, const char *verb, bool force, const char *done)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	struct client_ask ask = { .method = "POST", .body = STR("{}") };
	AUTO(client) *client = NULL;
	int status;

	if (!call->argument)
		return ctl_wrong("needs the name of a member");
	buf_puts(&path, "/api/cluster/members/");
	buf_url(&path, str_of(call->argument), "");
	buf_format(&path, "/%s%s", verb, force ? "?force=true" : "");
	ask.path = buf_text(&path);
	if (!client_new(&client, call, &status))
		return status;
	status = ask_until_done(client, &ask, call);
	if (status == CTL_DONE && !command_option(call, "--json"))
		(void)printf("%s %s\n", call->argument, done);
	return status;
}

static bool is_forced(const struct command_call *call)
{
	return command_option(call, "--force") != NULL;
}

int ctl_drain(const struct command_call *call)
{
	return act(call, "drain", is_forced(call), "drained");
}

int ctl_undrain(const struct command_call *call)
{
	return act(call, "undrain", false, "undrained");
}

int ctl_evacuate(const struct command_call *call)
{
	return act(call, "evacuate", is_forced(call), "evacuated: it owns nothing, and may be stopped");
}

/* The cluster's id is asked for, so that nobody puts the memory of one into the store of another. */
int ctl_rescue(const struct command_call *call)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	struct client_ask ask = { .method = "POST", .body = STR("{}") };
	AUTO(client) *client = NULL;
	unsigned answer;
	int status;

	if (!call->argument)
		return ctl_wrong("rescue: needs the id of the cluster, as `members` shows it");
	buf_puts(&path, "/api/cluster/rescue?cluster=");
	buf_url(&path, str_of(call->argument), "");
	ask.path = buf_text(&path);
	if (!client_new(&client, call, &status))
		return status;
	status = ask_once(client, &ask, call, &answer);
	if (status == CTL_DONE && !command_option(call, "--json"))
		(void)printf("%s rescued: the leader that answered starts anew\n", call->argument);
	return status;
}
