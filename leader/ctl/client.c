/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ctl/client.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/check.h"
#include "common/file.h"
#include "common/json.h"
#include "common/url.h"

#define PASSWORD_FILE_MAX 4096
#define STALL_MS          90000

struct client {
	struct buf urls[CLIENT_LEADERS_MAX];
	size_t len, first; /* first: the one that answered last */
	const char *ca_file;
	bool json;
	struct buf authorization;
};

void client_free(struct client *client)
{
	if (!client)
		return;
	for (size_t i = 0; i < client->len; i++)
		buf_fini(&client->urls[i]);
	if (client->authorization.at)
		explicit_bzero(client->authorization.at, client->authorization.room);
	buf_fini(&client->authorization);
	free(client);
	http_client_fini();
}

/* Which leaders. */

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *leaders_of(const struct command_call *call)
{
	static const char *const names[] = { "ZOT_LEADER_URL", "CLUSTER_LEADER_URLS", "CLUSTER_LEADER_URL" };
	const char *urls = command_option(call, "--leader");

	for (size_t i = 0; !urls && i < sizeof(names) / sizeof(names[0]); i++)
		urls = environment(names[i]);
	return urls ? urls : "http://127.0.0.1:8080";
}

static bool add_url(struct client *client, struct str url)
{
	url = url_without_end(url);
	if (client->len == CLIENT_LEADERS_MAX ||
		(!str_starts(url, "http://") && !str_starts(url, "https://")))
		return false;
	client->urls[client->len] = buf_limit(4096);
	buf_add(&client->urls[client->len++], url);
	return true;
}

static bool read_leaders(struct client *client, const struct command_call *call)
{
	struct str rest = str_of(leaders_of(call)), url;

	while (str_next(&rest, ',', &url))
		if (url.len && !add_url(client, url))
			return false;
	return client->len > 0;
}

/* As whom. */

static bool read_line(int fd, struct buf *into)
{
	char c;

	while (read(fd, &c, 1) == 1 && c != '\n')
		buf_putc(into, c);
	return into->len && !into->failed;
}

static bool ask_password(const char *user, struct buf *into)
{
	AUTO_FD tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct termios was, silent;
	bool got;

	if (tty < 0 || tcgetattr(tty, &was) != 0)
		return false;
	silent = was;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(tty, TCSAFLUSH, &silent) != 0)
		return false;
	(void)dprintf(tty, "Password of %s: ", user);
	got = read_line(tty, into);
	(void)tcsetattr(tty, TCSAFLUSH, &was);
	(void)dprintf(tty, "\n");
	return got;
}

static bool read_password_file(const char *path, struct buf *into)
{
	AUTO_FINI(buf) text = buf_limit(PASSWORD_FILE_MAX);
	struct error err;
	struct str rest, line;

	if (!file_read(path, &text, &err)) {
		ctl_say("%s", err.text);
		return false;
	}
	rest = buf_str(&text);
	if (!str_until(&rest, '\n', &line))
		line = rest;
	buf_add(into, line);
	explicit_bzero(text.at, text.room);
	return true;
}

/* "user:password" of what was given. */
static bool read_login(const struct command_call *call, struct buf *into)
{
	const char *file = command_option(call, "--password-file"), *key = environment("ZOT_API_KEY");
	const char *user = command_option(call, "--user"), *password = environment("ZOT_LEADER_PASSWORD");

	if (!user)
		user = environment("ZOT_LEADER_USER");
	if (!user)
		user = "admin";
	if (!file && key && strchr(key, ':')) {
		buf_puts(into, key);
		return true;
	}
	buf_format(into, "%s:", user);
	if (file)
		return read_password_file(file, into);
	if (key || password) {
		buf_puts(into, key ? key : password);
		return true;
	}
	if (ask_password(user, into))
		return true;
	ctl_say("there is no password: give --password-file, ZOT_API_KEY or ZOT_LEADER_PASSWORD");
	return false;
}

static bool make_login(struct client *client, const struct command_call *call)
{
	AUTO_FINI(buf) login = buf_limit(2 * PASSWORD_FILE_MAX);
	bool ok = read_login(call, &login) && !login.failed;

	client->authorization = buf_limit(4 * PASSWORD_FILE_MAX);
	http_basic(buf_str(&login), &client->authorization);
	if (login.at)
		explicit_bzero(login.at, login.room);
	return ok;
}

bool client_new(struct client **ret_client, const struct command_call *call, int *ret_status)
{
	AUTO(client) *client = xnew(struct client);

	http_client_init();
	client->ca_file = command_option(call, "--ca");
	client->json = command_option(call, "--json") != NULL;
	if (!read_leaders(client, call)) {
		*ret_status =
			ctl_wrong("--leader: needs http://... or https://..., several with commas between, "
				  "32 at the most");
		return false;
	}
	if (!make_login(client, call)) {
		*ret_status = CTL_WRONG_USE;
		return false;
	}
	*ret_client = TAKE(client);
	return true;
}

/* Asking. */

struct request {
	struct http_headers *headers;
	struct buf url;
	struct http_call_spec spec;
};

static void request_fini(struct request *request)
{
	http_headers_free(request->headers);
	buf_fini(&request->url);
}

static void add_condition(struct http_headers *headers, const char *revision)
{
	AUTO_FINI(buf) tag = buf_limit(128);

	buf_format(&tag, "\"%s\"", revision);
	CHECK(http_headers_add(headers, STR("If-Match"), buf_str(&tag)));
}

static void make_request(
	const struct client *client, size_t at, const struct client_ask *ask, struct request *ret)
{
	bool has_body = ask->body.len || ask->body_fd_len || !strcmp(ask->method, "POST");

	*ret = (struct request){ .headers = http_headers_new(), .url = buf_limit(16384) };
	buf_format(&ret->url, "%s%s", buf_text(&client->urls[at]), ask->path);
	CHECK(http_headers_add(ret->headers, STR("Authorization"), buf_str(&client->authorization)));
	CHECK(http_headers_add(
		ret->headers, STR("Accept"), str_of(ask->accept ? ask->accept : "application/json")));
	if (has_body)
		CHECK(http_headers_add(ret->headers, STR("Content-Type"),
			str_of(ask->type ? ask->type : "application/json")));
	if (ask->if_match)
		add_condition(ret->headers, ask->if_match);
	ret->spec = (struct http_call_spec){ .method = ask->method,
		.url = buf_text(&ret->url),
		.headers = ret->headers,
		.body = ask->body,
		.body_fd = ask->body_fd_len ? ask->body_fd : -1,
		.body_fd_len = ask->body_fd_len,
		.has_body = has_body,
		.ca_file = client->ca_file,
		.stall_ms = STALL_MS };
}

static bool may_try_another(const struct client_ask *ask, const struct error *err)
{
	return err->kind == ERROR_UNAVAILABLE || !strcmp(ask->method, "GET") || !strcmp(ask->method, "HEAD");
}

/* As the API says it. */
static void say_refused(const struct client *client, unsigned status, struct str body)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *error;

	if (client->json) {
		(void)fwrite(body.at, 1, body.len, stderr);
		return;
	}
	error = json_parse(body, &doc, NULL) ? json_find(json_root(doc), "error") : NULL;
	if (error)
		ctl_say("%.*s (%u %.*s)", STR_ARGS(json_str(json_find(error, "message"))), status,
			STR_ARGS(json_str(json_find(error, "code"))));
	else
		ctl_say("the answer was %u", status);
}

static int judge(const struct client *client, unsigned status, struct str body)
{
	if ((status >= 200 && status < 300) || status == 304)
		return CTL_DONE;
	say_refused(client, status, body);
	return CTL_FAILED;
}

int client_send(struct client *client, const struct client_ask *ask, struct http_result *ret)
{
	struct error err = { 0 };

	http_result_init(ret, CLIENT_ANSWER_MAX);
	for (size_t n = 0; n < client->len; n++) {
		size_t at = (client->first + n) % client->len;
		__attribute__((cleanup(request_fini))) struct request request;

		make_request(client, at, ask, &request);
		if (http_send(&request.spec, ret, &err)) {
			client->first = at;
			return judge(client, ret->status, buf_str(&ret->body));
		}
		if (!ask->quiet)
			ctl_say("%s: %s", buf_text(&client->urls[at]), err.text);
		http_result_fini(ret);
		http_result_init(ret, CLIENT_ANSWER_MAX);
		if (!may_try_another(ask, &err))
			break;
	}
	return CTL_UNREACHABLE;
}

bool client_next(const struct http_result *result, struct buf *path)
{
	const char *link = http_headers_find(result->headers, "Link");
	struct str rest = str_of(link), next;

	if (!link || !str_skip(&rest, "<") || !str_until(&rest, '>', &next) || !str_starts(next, "/api/"))
		return false;
	buf_clear(path);
	buf_add(path, next);
	return !path->failed;
}

/* A body of any length. */

/* *ret_cut: no whole answer came; *ret_again: nothing of one. */
static int fetch_from(struct client *client, size_t at, const struct client_ask *ask,
	const struct http_fetch_into *into, bool *ret_cut, bool *ret_again)
{
	__attribute__((cleanup(request_fini))) struct request request;
	struct http_fetched fetched;
	int status = CTL_FAILED;
	struct error err;

	make_request(client, at, ask, &request);
	*ret_cut = !http_fetch(&request.spec, into, &fetched, &err);
	*ret_again = *ret_cut && !fetched.status;
	if (!*ret_cut)
		status = judge(client, fetched.status, buf_str(&fetched.why));
	else if (!ask->quiet)
		ctl_say("%s: %s", buf_text(&client->urls[at]), err.text);
	http_fetched_fini(&fetched);
	return status;
}

static int fetch(struct client *client, const struct client_ask *ask, const struct http_fetch_into *into,
	bool *ret_cut)
{
	for (size_t n = 0; n < client->len; n++) {
		size_t at = (client->first + n) % client->len;
		bool again;
		int status = fetch_from(client, at, ask, into, ret_cut, &again);

		if (!again) {
			client->first = at;
			return status;
		}
	}
	return CTL_UNREACHABLE;
}

int client_fetch(struct client *client, const struct client_ask *ask, int fd)
{
	const struct http_fetch_into into = { .take = http_fetch_take_file, .arg = &fd };
	bool cut;

	return fetch(client, ask, &into, &cut);
}

int client_follow(struct client *client, const struct client_ask *ask, const struct http_fetch_into *into)
{
	bool cut;
	int status = fetch(client, ask, into, &cut);

	return cut ? CTL_UNREACHABLE : status;
}
