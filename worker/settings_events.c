/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/settings_events.h"

#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/http_wire.h"
#include "common/setting_files.h"
#include "common/url.h"
#include "worker/events/events.h"
#include "worker/events/nats.h"
#include "worker/events/nats_key.h"

#define KEY          "extensions.events.sinks"
#define TEXT_MAX     8192
#define HTTP_MS      30000
#define NATS_MS      5000
#define TIMEOUT_MOST 600000
#define CHANNEL_MAX  256

struct reading {
	struct settings_memory *memory;
	struct buf *errors;
	struct event_sink_settings *sink;
	char *const *environment; /* "${NAME}" is looked up there; NULL: it is not looked for */
	char where[64];
	bool typed, timed;
};

static const char *const keys[] = { "type", "address", "channel", "timeout", "proxy", "headers",
	"credentials", "tlsconfig", "username", "password", "token", "file", "cacertfile", "certfile",
	"keyfile" };
enum {
	KEY_TYPE,
	KEY_ADDRESS,
	KEY_CHANNEL,
	KEY_TIMEOUT,
	KEY_PROXY,
	KEY_HEADERS,
	KEY_CREDENTIALS,
	KEY_TLS,
	KEY_USER,
	KEY_PASSWORD,
	KEY_TOKEN,
	KEY_FILE,
	KEY_CA,
	KEY_CERT,
	KEY_KEY,
	KEYS
};

/* ---- one value ---- */

/* Each "${NAME}" by what the variable says, as in all texts of the file. What it says is never shown. */
static bool replace_variables(const struct reading *r, const char *key, struct str text, struct buf *into)
{
	struct str before, name;
	const char *value;

	while (r->environment && str_until(&text, '$', &before)) {
		buf_add(into, before);
		if (!str_skip(&text, "{")) {
			buf_putc(into, '$');
			continue;
		}
		value = str_until(&text, '}', &name) ? settings_variable(r->environment, name) : NULL;
		if (!value) {
			buf_format(r->errors, "%s.%s: names a variable that is not set\n", r->where, key);
			return false;
		}
		buf_puts(into, value);
	}
	buf_add(into, text);
	if (into->failed)
		buf_format(r->errors, "%s.%s: is longer than %d bytes\n", r->where, key, TEXT_MAX);
	return !into->failed;
}

/* "file://path": the first line of that file, as for other secrets. What is wrong never shows the text. */
static bool expand(struct reading *r, const char *key, struct str text, struct str *ret, struct buf *line)
{
	struct str rest = text, path, first;
	struct error err;

	*ret = text;
	if (!str_skip(&rest, "file://"))
		return true;
	AUTO_STR *name = str_dup(rest);
	if (!file_read(name, line, &err)) {
		buf_format(r->errors, "%s.%s: %s\n", r->where, key, err.text);
		return false;
	}
	path = buf_str(line);
	*ret = str_trim(str_until(&path, '\n', &first) ? first : buf_str(line));
	return true;
}

static void take_text(struct reading *r, const char *key, const struct json *value, const char **into)
{
	AUTO_FINI(buf) line = buf_limit(TEXT_MAX), whole = buf_limit(TEXT_MAX);
	struct str text;

	if (!json_get_str(value, &text)) {
		buf_format(r->errors, "%s.%s: must be a text, is %s\n", r->where, key,
			json_kind_name(json_kind(value)));
		return;
	}
	if (!replace_variables(r, key, text, &whole) || !expand(r, key, buf_str(&whole), &text, &line))
		return;
	if (text.len)
		*into = settings_memory_text(r->memory, text);
}

static void take_type(struct reading *r, const struct json *value)
{
	struct str text = json_str(value);

	r->typed = true;
	if (str_is_nocase(text, "http"))
		r->sink->type = EVENT_SINK_HTTP;
	else if (str_is_nocase(text, "nats"))
		r->sink->type = EVENT_SINK_NATS;
	else
		buf_format(r->errors, "%s.type: must be \"http\" or \"nats\"\n", r->where);
}

static void take_timeout(struct reading *r, const struct json *value)
{
	int64_t ms = -1;
	struct str text;

	if (json_get_str(value, &text) ? !setting_parse_ms(text, &ms) : !json_get_int(value, &ms))
		ms = -1;
	if (ms < 0 || ms > TIMEOUT_MOST)
		buf_format(r->errors, "%s.timeout: must be a duration of at most 10 minutes, like \"30s\"\n",
			r->where);
	else if (ms) /* zot's 0 is as if it were not there */
		r->sink->timeout_ms = (unsigned)ms;
}

static bool is_ours(struct str name)
{
	static const char *const ours[] = { "Content-Type", "Content-Length", "Transfer-Encoding",
		"Connection", "Expect" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (str_is_nocase(name, ours[i]))
			return true;
	return name.len > 3 && str_is_nocase(str_from(name.at, 3), "ce-");
}

static void take_header(struct reading *r, struct str name, const struct json *value)
{
	AUTO(http_headers) *trial = http_headers_new();
	struct event_sink_settings *sink = r->sink;
	const char *text = "";
	char key[128];

	(void)snprintf(key, sizeof(key), "headers.%.*s", (int)(name.len < 100 ? name.len : 100), name.at);
	take_text(r, key, value, &text);
	if (sink->headers_len == EVENTS_HEADERS_MAX)
		buf_format(r->errors, "%s.headers: at most %d of them\n", r->where, EVENTS_HEADERS_MAX);
	else if (is_ours(name))
		buf_format(r->errors, "%s.%s: is said by the registry itself\n", r->where, key);
	else if (!http_headers_add(trial, name, str_of(text)))
		buf_format(r->errors, "%s.%s: may not be a header\n", r->where, key);
	else {
		sink->headers[sink->headers_len][0] = settings_memory_text(r->memory, name);
		sink->headers[sink->headers_len++][1] = text;
	}
}

static void take_headers(struct reading *r, const struct json *node)
{
	const struct json *value;
	struct str name;

	if (json_kind(node) != JSON_OBJECT)
		buf_format(r->errors, "%s.headers: must be an object of names and values\n", r->where);
	for (void *it = NULL; json_kind(node) == JSON_OBJECT && json_next(node, &it, &name, &value);)
		take_header(r, name, value);
}

static size_t find_key(struct reading *r, struct str key, size_t from, size_t to)
{
	const char *near;

	for (size_t i = from; i < to; i++)
		if (str_is_nocase(key, keys[i]))
			return i;
	buf_format(r->errors, "%s.%.*s: unknown key", r->where, (int)(key.len < 100 ? key.len : 100), key.at);
	near = str_nearest(key, keys + from, to - from);
	if (near)
		buf_format(r->errors, "; did you mean \"%s\"?", near);
	buf_putc(r->errors, '\n');
	return KEYS;
}

static void take(struct reading *r, size_t key, const struct json *value)
{
	struct event_sink_settings *sink = r->sink;
	const char **texts[KEYS] = { [KEY_ADDRESS] = &sink->address,
		[KEY_CHANNEL] = &sink->channel,
		[KEY_PROXY] = &sink->proxy,
		[KEY_USER] = &sink->user,
		[KEY_PASSWORD] = &sink->password,
		[KEY_TOKEN] = &sink->token,
		[KEY_FILE] = &sink->credentials_file,
		[KEY_CA] = &sink->ca_file,
		[KEY_CERT] = &sink->cert_file,
		[KEY_KEY] = &sink->key_file };

	if (key == KEYS || json_kind(value) == JSON_NULL)
		return;
	if (key == KEY_TYPE)
		take_type(r, value);
	else if (key == KEY_TIMEOUT)
		take_timeout(r, value);
	else if (key == KEY_HEADERS)
		take_headers(r, value);
	else
		take_text(r, keys[key], value, texts[key]);
}

static void take_group(struct reading *r, size_t group, const struct json *node)
{
	size_t from = group == KEY_TLS ? KEY_CA : KEY_USER, to = group == KEY_TLS ? KEYS : KEY_CA;
	const struct json *value;
	struct str key;

	if (json_kind(node) != JSON_OBJECT && json_kind(node) != JSON_NULL)
		buf_format(r->errors, "%s.%s: must be an object\n", r->where, keys[group]);
	for (void *it = NULL; json_kind(node) == JSON_OBJECT && json_next(node, &it, &key, &value);) {
		size_t found = find_key(r, key, from, to);

		take(r, found == to ? KEYS : found, value);
	}
}

/* ---- one sink ---- */

static void say(const struct reading *r, const char *text)
{
	buf_format(r->errors, "%s%s\n", r->where, text);
}

static void check_http(const struct reading *r)
{
	const struct event_sink_settings *s = r->sink;

	if (s->address && !url_is_call(str_of(s->address)))
		say(r, ".address: must be a URL like https://host/path, without user and password (see "
		       "credentials)");
	if (s->proxy && (!url_is_base(str_of(s->proxy)) || !str_starts(str_of(s->proxy), "http://")))
		say(r, ".proxy: must be a URL like http://proxy:3128");
	if (s->credentials_file)
		say(r, ".file: is NATS' credentials; for HTTP say username and password, or token");
}

static void check_nats(const struct reading *r)
{
	const struct event_sink_settings *s = r->sink;
	char host[256], port[6];
	bool tls;

	if (s->address && !nats_address(s->address, host, port, &tls))
		say(r, ".address: must be one server, like nats://host:4222 or tls://host:4222");
	if (!s->channel || !nats_subject_is_valid(str_of(s->channel)))
		say(r, ".channel: is the subject that is published to: words with '.' between them, without "
		       "blanks, * and >");
	if (s->proxy || s->headers_len)
		say(r, ": proxy and headers are for type \"http\"");
	if ((s->user != NULL) + (s->token != NULL) + (s->credentials_file != NULL) > 1)
		say(r, ": username, token and file exclude each other");
}

static void check(struct reading *r)
{
	struct event_sink_settings *s = r->sink;

	if (!r->typed)
		say(r, ".type: is missing; \"http\" or \"nats\"");
	if (!s->address)
		say(r, ".address: is missing");
	if (s->user && s->token)
		say(r, ": username and token exclude each other");
	if (s->password && !s->user)
		say(r, ".password: needs a username");
	if (!s->cert_file != !s->key_file)
		say(r, ": certfile and keyfile go together");
	if (s->channel && str_of(s->channel).len > CHANNEL_MAX)
		say(r, ".channel: is longer than 256 bytes");
	if (s->type == EVENT_SINK_HTTP)
		check_http(r);
	else
		check_nats(r);
	if (!s->timeout_ms)
		s->timeout_ms = s->type == EVENT_SINK_HTTP ? HTTP_MS : NATS_MS;
}

/* By what makes it another receiver: where, and under which name. */
static uint64_t id_of(const struct event_sink_settings *s)
{
	AUTO_FINI(buf) text = buf_limit((size_t)3 * TEXT_MAX);
	uint8_t hash[HASH_MAX];
	uint64_t id;

	buf_format(
		&text, "%d %s %s", (int)s->type, s->address ? s->address : "", s->channel ? s->channel : "");
	hash_bytes(HASH_SHA256, buf_text(&text), text.len, hash);
	memcpy(&id, hash, sizeof(id));
	return id;
}

static void read_sink(struct reading *r, size_t at, const struct json *node)
{
	const struct json *value;
	struct str key;

	(void)snprintf(r->where, sizeof(r->where), KEY "[%zu]", at);
	r->typed = false;
	if (json_kind(node) != JSON_OBJECT) {
		say(r, ": must be an object");
		return;
	}
	for (void *it = NULL; json_next(node, &it, &key, &value);) {
		size_t found = find_key(r, key, 0, KEYS);

		if (found == KEY_CREDENTIALS || found == KEY_TLS)
			take_group(r, found, value);
		else
			take(r, found, value);
	}
	check(r);
	r->sink->id = id_of(r->sink);
	(void)snprintf(r->sink->name, sizeof(r->sink->name), "%zu-%s", at,
		r->sink->type == EVENT_SINK_HTTP ? "http" : "nats");
}

/* ---- all of them ---- */

static void read_all(struct worker_settings *s, char *const *environment, const struct json *node,
	struct settings_memory *memory, struct buf *errors)
{
	struct reading r = { .memory = memory, .errors = errors, .environment = environment };
	size_t len = json_len(node);

	if (json_kind(node) != JSON_ARRAY || len > EVENT_SINKS_MAX) {
		buf_format(errors, KEY " (ZOT_EVENTS_SINKS): must be a list of at most %d sinks\n",
			EVENT_SINKS_MAX);
		return;
	}
	s->event_sinks = settings_memory_new(memory, len + 1, sizeof(*s->event_sinks));
	for (size_t i = 0; i < len; i++) {
		r.sink = &s->event_sinks[i];
		read_sink(&r, i, json_at(node, i));
		for (size_t j = 0; j < i; j++)
			if (s->event_sinks[j].id == r.sink->id)
				buf_format(errors,
					KEY "[%zu]: is " KEY
					    "[%zu] once more: address and channel are the same\n",
					i, j);
	}
	s->event_sinks_len = len;
}

static void check_identity(const char *key, const char *text, struct buf *errors)
{
	if (text && (!*text || str_of(text).len > CHANNEL_MAX || !str_is_utf8(str_of(text))))
		buf_format(
			errors, "extensions.events.%s: must be a text of 1 to %d bytes\n", key, CHANNEL_MAX);
}

void settings_events_read(struct worker_settings *s, char *const *environment, struct settings_memory *memory,
	struct buf *warnings, struct buf *errors)
{
	AUTO(json_doc) *doc = NULL;
	struct error err;

	s->event_sinks = NULL;
	s->event_sinks_len = 0;
	check_identity("source", s->events_source, errors);
	check_identity("typePrefix", s->events_type_prefix, errors);
	if (!s->events)
		return;
	if (s->events_sinks_text) {
		if (json_parse(str_of(s->events_sinks_text), &doc, &err))
			read_all(s, NULL, json_root(doc), memory, errors);
		else
			buf_format(errors, KEY " (ZOT_EVENTS_SINKS): %s\n", err.text);
	} else if (s->events_sinks && json_kind(s->events_sinks) != JSON_NULL) {
		read_all(s, environment, s->events_sinks, memory, errors);
	}
	if (!s->event_sinks_len)
		buf_puts(warnings,
			"extensions.events.enable: there are no sinks, so nobody is told of anything\n");
}

static bool check_sink(const struct event_sink_settings *sink, struct error *err)
{
	const struct http_wire_trust trust = { sink->ca_file, sink->cert_file, sink->key_file };
	struct http_wire_tls *tls;
	struct nats_key key;

	if (!setting_check_readable(sink->ca_file, "cacertfile", err) ||
		!setting_check_readable(sink->cert_file, "certfile", err) ||
		!setting_check_readable(sink->key_file, "keyfile", err))
		return false;
	if (sink->ca_file || sink->cert_file) {
		if (!http_wire_tls_client(&tls, &trust, err))
			return error_set(err, ERROR_INVALID, NULL,
				"cacertfile, certfile or keyfile cannot be used for TLS");
		http_wire_tls_free(tls);
	}
	if (!sink->credentials_file)
		return true;
	if (!nats_key_read(sink->credentials_file, &key, err))
		return error_add(err, "file");
	nats_key_fini(&key);
	return true;
}

bool settings_events_check(const struct worker_settings *s, struct error *err)
{
	for (size_t i = 0; i < s->event_sinks_len; i++)
		if (!check_sink(&s->event_sinks[i], err))
			return error_add(err, KEY "[%zu]", i);
	return true;
}
