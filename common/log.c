/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - one formatted line, written at once as logfmt or turned into a JSON object.
 *
 *     time=2026-11-20T12:34:56.789Z level=info event=pull.done name="a/b" bytes=3
 *     {"time":"2026-11-20T12:34:56.789Z","level":"info","message":"pull.done","name":"a/b","bytes":3}
 *
 * Lines are bounded, on the stack, and hold no control characters whatever was formatted in. Words
 * that are no key=value become the member "text", more of them behind a key=value "text2" and so on.
 */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/clock.h"

#define LINE_MAX_  4096
#define QUOTE_SIZE 512
#define QUOTE_RING 4
#define NUMBER_MAX 18 /* digits: longer ones are ids, and lose digits in readers of JSON */

static _Atomic int least_level = LOG_INFO;
static _Atomic bool json_mode;
static _Atomic int log_fd = STDERR_FILENO;

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"
};

void log_init(enum log_level least, bool json)
{
	atomic_store(&least_level, (int)least);
	atomic_store(&json_mode, json);
}

bool log_open(const char *path)
{
	AUTO_FD fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	int before;

	if (fd < 0)
		return false;
	before = atomic_load(&log_fd);
	if (before != STDERR_FILENO)
		return dup3(fd, before, O_CLOEXEC) >= 0; /* the number stays good for writers at work */
	atomic_store(&log_fd, TAKE_FD(fd));
	return true;
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

/* ---- a line in the making ---- */

struct line {
	char at[LINE_MAX_];
	size_t len;
	size_t max; /* room is kept for what must end the line */
	bool cut;
};

static void put(struct line *line, const char *text, size_t len)
{
	if (line->cut || len > line->max - line->len) {
		line->cut = true;
		return;
	}
	memcpy(line->at + line->len, text, len);
	line->len += len;
}

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

/* The event and the formatted pairs without control characters, cut where the room ends. */
static PRINTF(3, 0) size_t format_pairs(char *into, size_t size, const char *format, va_list args)
{
	int n = vsnprintf(into, size, format, args);
	size_t len = n < 0 ? 0 : (size_t)n;

	if (len >= size) {
		len = size - 1;
		memcpy(into + len - 3, "...", 3);
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)into[i] < 0x20 || into[i] == 0x7f)
			into[i] = ' ';
	}
	return len;
}

static void make_logfmt(
	struct line *line, const char *time, enum log_level level, const char *event, struct str pairs)
{
	put_text(line, "time=");
	put_text(line, time);
	put_text(line, " level=");
	put_text(line, level_names[level]);
	put_text(line, " event=");
	put_text(line, event);
	if (pairs.len) {
		put_text(line, " ");
		put(line, pairs.at, pairs.len);
	}
}

/* ---- JSON ---- */

/* A value that was not quoted, as a JSON string's inside. */
static void put_bare(struct line *line, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (c == '"' || c == '\\')
			put(line, "\\", 1);
		if ((unsigned char)c >= 0x80)
			c = '?';
		put(line, &c, 1);
	}
}

/* The inside of a log_quote()d value: its escapes are JSON's, but for \xNN, which stays as text. */
static void put_quoted(struct line *line, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (c == '\\' && i + 1 < s.len && strchr("\"\\nrt", s.at[i + 1])) {
			put(line, s.at + i++, 2);
			continue;
		}
		put_bare(line, str_from(&c, 1));
	}
}

static size_t digits_at(struct str s, size_t at)
{
	size_t n = 0;

	while (at + n < s.len && s.at[at + n] >= '0' && s.at[at + n] <= '9')
		n++;
	return n;
}

static bool is_json_number(struct str s)
{
	size_t at = s.len && s.at[0] == '-', whole = digits_at(s, at), part = 0;

	if (whole == 0 || whole > NUMBER_MAX || (whole > 1 && s.at[at] == '0'))
		return false;
	at += whole;
	if (at < s.len && s.at[at] == '.') {
		part = digits_at(s, at + 1);
		at += 1 + part;
		if (part == 0 || part > NUMBER_MAX)
			return false;
	}
	return at == s.len;
}

/* Takes the value off the front of *s, which stands behind the '='. */
static struct str take_value(struct str *s, bool *ret_quoted)
{
	size_t from = 0, end = 0;

	*ret_quoted = s->len && s->at[0] == '"';
	if (*ret_quoted) {
		for (from = end = 1; end < s->len && s->at[end] != '"'; end++)
			end += s->at[end] == '\\' && end + 1 < s->len;
	} else {
		while (end < s->len && s->at[end] != ' ')
			end++;
	}
	if (end > s->len)
		end = s->len;
	struct str value = str_from(s->at + from, end - from);

	end += *ret_quoted && end < s->len;
	*s = str_from(s->at + end, s->len - end);
	return value;
}

static void put_key(struct line *line, struct str key)
{
	put_text(line, ",\"");
	put_bare(line, key);
	if (str_is(key, "time") || str_is(key, "level") || str_is(key, "message"))
		put_text(line, "_");
	put_text(line, "\":");
}

static void put_member(struct line *line, struct str key, struct str value, bool quoted)
{
	put_key(line, key);
	if (!quoted && (is_json_number(value) || str_is(value, "true") || str_is(value, "false"))) {
		put(line, value.at, value.len);
		return;
	}
	put_text(line, "\"");
	if (quoted)
		put_quoted(line, value);
	else
		put_bare(line, value);
	put_text(line, "\"");
}

/* Length of the key when *s begins with "key=", else 0. */
static size_t key_len(struct str s)
{
	size_t n = 0;

	while (n < s.len && ((s.at[n] >= 'a' && s.at[n] <= 'z') || (s.at[n] >= 'A' && s.at[n] <= 'Z') ||
				    (s.at[n] >= '0' && s.at[n] <= '9') || s.at[n] == '_' || s.at[n] == '.' ||
				    s.at[n] == '-'))
		n++;
	return n < s.len && s.at[n] == '=' ? n : 0;
}

/* Takes words up to the next key=value. */
static struct str take_words(struct str *s)
{
	struct str all = *s;
	size_t end = 0;

	while (end < all.len) {
		if ((end == 0 || all.at[end - 1] == ' ') && key_len(str_from(all.at + end, all.len - end)))
			break;
		end++;
	}
	*s = str_from(all.at + end, all.len - end);
	return str_trim(str_from(all.at, end));
}

/* Members one by one; one that does not fit is taken back and ends the object. */
static void make_members(struct line *line, struct str pairs)
{
	size_t good = line->len;
	unsigned texts = 0;

	for (pairs = str_trim(pairs); pairs.len && !line->cut; pairs = str_trim(pairs)) {
		size_t len = key_len(pairs);
		bool quoted = false;
		struct str key, value;
		char text[24];

		if (len) {
			key = str_from(pairs.at, len);
			pairs = str_from(pairs.at + len + 1, pairs.len - len - 1);
			value = take_value(&pairs, &quoted);
		} else {
			(void)snprintf(text, sizeof(text), "text%u", ++texts);
			key = texts == 1 ? STR("text") : str_of(text);
			value = take_words(&pairs);
		}
		put_member(line, key, value, quoted);
		if (!line->cut)
			good = line->len;
	}
	line->len = good;
}

static void make_json(
	struct line *line, const char *time, enum log_level level, const char *event, struct str pairs)
{
	put_text(line, "{\"time\":\"");
	put_text(line, time);
	put_text(line, "\",\"level\":\"");
	put_text(line, level_names[level]);
	put_text(line, "\",\"message\":\"");
	put_bare(line, str_of(event));
	put_text(line, "\"");
	make_members(line, pairs);
	line->max = sizeof(line->at);
	if (line->cut) {
		line->cut = false;
		put_text(line, ",\"cut\":true");
	}
	put_text(line, "}");
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	char pairs[LINE_MAX_ - 256], time[CLOCK_RFC3339_SIZE];
	int saved = errno;
	struct line line;
	va_list args;

	if (!log_enabled(level))
		return;
	line.len = 0;
	line.cut = false;
	line.max = sizeof(line.at) - sizeof(",\"cut\":true}\n");
	clock_rfc3339(clock_wall_ms(), time);
	va_start(args, format);
	struct str all = str_from(pairs, format_pairs(pairs, sizeof(pairs), format, args));

	va_end(args);
	if (atomic_load_explicit(&json_mode, memory_order_relaxed))
		make_json(&line, time, level, event, all);
	else
		make_logfmt(&line, time, level, event, all);
	line.at[line.len++] = '\n';
	/* A log that cannot be written has nowhere to say so. */
	ssize_t n = write(atomic_load(&log_fd), line.at, line.len);

	(void)n;
	errno = saved;
}

/* ---- quoting ---- */

/* The escape of one byte; returns its length. */
static size_t escape(char c, char into[4])
{
	static const char digits[] = "0123456789abcdef";
	const char *letter = c == '\n' ? "n" : c == '\r' ? "r" : c == '\t' ? "t" : NULL;

	if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
		into[0] = c;
		return 1;
	}
	into[0] = '\\';
	if (c == '"' || c == '\\' || letter) {
		into[1] = letter ? *letter : c;
		return 2;
	}
	into[1] = 'x';
	into[2] = digits[(unsigned char)c >> 4];
	into[3] = digits[(unsigned char)c & 15];
	return 4;
}

const char *log_quote(struct str s)
{
	static _Thread_local char ring[QUOTE_RING][QUOTE_SIZE];
	static _Thread_local unsigned turn;
	char *into = ring[turn++ % QUOTE_RING];
	size_t len = 0;

	into[len++] = '"';
	for (size_t i = 0; i < s.len; i++) {
		char bytes[4];
		size_t n = escape(s.at[i], bytes);

		if (len + n > QUOTE_SIZE - sizeof("...\"")) {
			memcpy(into + len, "...", 3);
			len += 3;
			break;
		}
		memcpy(into + len, bytes, n);
		len += n;
	}
	into[len++] = '"';
	into[len] = '\0';
	return into;
}
