/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_head.h"

#include <string.h>
#include <strings.h>

#define FIELD(head, literal) http_head_field((head), literal, sizeof(literal) - 1)
#define COUNT(head, literal) http_head_count((head), literal, sizeof(literal) - 1)

static bool refuse(struct http_refusal *ret_why, unsigned status, const char *why)
{
	*ret_why = (struct http_refusal){ status, why };
	return false;
}

/* Characters. */

enum { TOKEN = 1, VALUE = 2, TARGET = 4, HOST = 8 };

/* Letters and digits are all of them; what else there is stands here. */
static unsigned kinds_of(unsigned char c)
{
	unsigned kinds = 0;

	if (c == '\t')
		return VALUE;
	if (c < ' ' || c == 0x7f)
		return 0;
	if (c >= 0x80)
		return VALUE;
	kinds |= VALUE | (c != ' ' && c != '#' ? TARGET : 0u);
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return kinds | TOKEN | HOST;
	if (http_is_token_char((char)c))
		kinds |= TOKEN;
	if (strchr("%-.:[]_~", c))
		kinds |= HOST;
	return kinds;
}

static const unsigned char *kinds_table(void)
{
	static _Thread_local unsigned char table[256];
	static _Thread_local bool made;

	for (unsigned c = 0; !made && c < 256; c++)
		table[c] = (unsigned char)kinds_of((unsigned char)c);
	made = true;
	return table;
}

/* How many of the characters from the first on are of that kind. */
static size_t span(const char *at, size_t len, unsigned kind)
{
	const unsigned char *table = kinds_table();
	size_t n = 0;

	while (n < len && (table[(unsigned char)at[n]] & kind))
		n++;
	return n;
}

/* Finding. */

/* The head has grown to a limit and is not over. */
static struct http_refusal too_large(struct str bytes)
{
	const char *line = memchr(bytes.at, '\n', bytes.len);
	size_t first = line ? (size_t)(line - bytes.at) : bytes.len;

	if (first > HTTP_TARGET_MAX + HTTP_METHOD_MAX)
		return (struct http_refusal){ 414, "the target of a request may have 8 KiB" };
	return (struct http_refusal){ 431, "the head of a request may have 16 KiB" };
}

/* The method and its blank; WHOLE: they are there. */
static enum http_head_step begin(struct str bytes, struct http_refusal *ret_why)
{
	size_t most = bytes.len < HTTP_METHOD_MAX ? bytes.len : HTTP_METHOD_MAX;
	size_t method = span(bytes.at, most, TOKEN);

	if (method == bytes.len)
		return HTTP_HEAD_MORE;
	if (method > 0 && bytes.at[method] == ' ')
		return HTTP_HEAD_WHOLE;
	(void)refuse(ret_why, 400, "this is no request of HTTP/1.1: it begins with a method and one blank");
	return HTTP_HEAD_BAD;
}

enum http_head_step http_head_find(
	struct str bytes, size_t *at, size_t *ret_len, struct http_refusal *ret_why)
{
	size_t most = bytes.len < HTTP_HEAD_MAX ? bytes.len : HTTP_HEAD_MAX;
	enum http_head_step begun = *at == 0 ? begin(bytes, ret_why) : HTTP_HEAD_WHOLE;
	const char *end;

	if (begun != HTTP_HEAD_WHOLE)
		return begun;
	while (*at < most && (end = memchr(bytes.at + *at, '\n', most - *at))) {
		size_t line = (size_t)(end - bytes.at);
		if (line == 0 || bytes.at[line - 1] != '\r') {
			(void)refuse(ret_why, 400, "a line of the head ends with CR LF");
			return HTTP_HEAD_BAD;
		}
		*at = line + 1;
		if (line >= 3 && bytes.at[line - 2] == '\n') {
			*ret_len = line + 1;
			return HTTP_HEAD_WHOLE;
		}
	}
	if (bytes.len >= HTTP_HEAD_MAX) {
		*ret_why = too_large(bytes);
		return HTTP_HEAD_BAD;
	}
	*at = bytes.len;
	return HTTP_HEAD_MORE;
}

/* The first line. */

static bool parse_version(struct str text, struct http_head *into, struct http_refusal *ret_why)
{
	if (text.len != 8 || memcmp(text.at, "HTTP/", 5) != 0 || text.at[6] != '.' || text.at[5] < '0' ||
		text.at[5] > '9' || text.at[7] < '0' || text.at[7] > '9')
		return refuse(ret_why, 400, "the first line of a request ends with \"HTTP/1.1\"");
	if (text.at[5] != '1')
		return refuse(ret_why, 505, "HTTP/1.1 is served here");
	into->minor = text.at[7] == '0' ? 0 : 1;
	return true;
}

/* The blank that ends a part becomes a NUL. */
static bool take_part(char **at, char *end, unsigned kind, struct str *ret)
{
	size_t len = span(*at, (size_t)(end - *at), kind);

	if (len == 0 || *at + len == end || (*at)[len] != ' ')
		return false;
	*ret = str_from(*at, len);
	(*at)[len] = '\0';
	*at += len + 1;
	return true;
}

/* A path, a whole address, or "*" with OPTIONS (RFC 9112, 3.2). */
static bool has_form(struct str method, struct str target)
{
	return str_starts(target, "/") || str_starts(target, "http://") || str_starts(target, "https://") ||
	       (str_is(target, "*") && str_is(method, "OPTIONS"));
}

static bool parse_first(char *line, char *end, struct http_head *into, struct http_refusal *ret_why)
{
	struct str method;
	char *at = line;

	if (!take_part(&at, end, TOKEN, &method) || method.len > HTTP_METHOD_MAX)
		return refuse(ret_why, 400, "the first line of a request begins with a method and one blank");
	if (!take_part(&at, end, TARGET, &into->target))
		return refuse(ret_why, 400,
			"the target of a request has no blanks and no control characters, and one blank "
			"follows it");
	if (!has_form(method, into->target))
		return refuse(ret_why, 400, "the target of a request is a path, or an address with http://");
	if (into->target.len > HTTP_TARGET_MAX)
		return refuse(ret_why, 414, "the target of a request may have 8 KiB");
	into->method = http_method_parse(method);
	return parse_version(str_from(at, (size_t)(end - at)), into, ret_why);
}

/* Fields. */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One line without its end; `end` may be written to. */
static bool parse_field(char *line, char *end, struct http_head *into, struct http_refusal *ret_why)
{
	size_t name = span(line, (size_t)(end - line), TOKEN);
	char *value = line + name + 1;

	if (name > 0 && is_blank(line[name]))
		return refuse(ret_why, 400, "a field of the head has its colon right behind its name");
	if (is_blank(*line))
		return refuse(ret_why, 400, "a line of the head may not be folded");
	if (name == 0 || line + name == end || line[name] != ':')
		return refuse(ret_why, 400, "a field of the head is \"name: value\"");
	if (into->fields_len == HTTP_FIELDS_MAX)
		return refuse(ret_why, 431, "the head of a request may have 100 fields");
	if (span(value, (size_t)(end - value), VALUE) != (size_t)(end - value))
		return refuse(ret_why, 400, "a field of the head has a control character");
	while (value < end && is_blank(*value))
		value++;
	while (end > value && is_blank(end[-1]))
		end--;
	line[name] = '\0';
	*end = '\0';
	into->fields[into->fields_len++] =
		(struct http_field){ .name = line, .value = value, .name_len = name };
	return true;
}

const char *http_head_field(const struct http_head *head, const char *name, size_t name_len)
{
	for (size_t i = 0; i < head->fields_len; i++)
		if (head->fields[i].name_len == name_len &&
			strncasecmp(head->fields[i].name, name, name_len) == 0)
			return head->fields[i].value;
	return NULL;
}

unsigned http_head_count(const struct http_head *head, const char *name, size_t name_len)
{
	unsigned n = 0;

	for (size_t i = 0; i < head->fields_len; i++)
		n += head->fields[i].name_len == name_len &&
		     strncasecmp(head->fields[i].name, name, name_len) == 0;
	return n;
}

/* What fields mean here. */

static bool check_host(const struct http_head *head, struct http_refusal *ret_why)
{
	unsigned count = COUNT(head, "Host");
	const char *host = FIELD(head, "Host");

	if (count > 1 || (count == 0 && head->minor > 0))
		return refuse(ret_why, 400, "a request of HTTP/1.1 has one Host");
	if (host && span(host, strlen(host), HOST) != strlen(host))
		return refuse(ret_why, 400, "Host is a name or an address, and perhaps a port");
	return true;
}

static bool has_item(const struct http_head *head, const char *name, size_t name_len, const char *item)
{
	for (size_t i = 0; i < head->fields_len; i++) {
		struct str list = str_of(head->fields[i].value), one;
		if (head->fields[i].name_len != name_len ||
			strncasecmp(head->fields[i].name, name, name_len) != 0)
			continue;
		while (str_next(&list, ',', &one))
			if (str_is_nocase(one, item))
				return true;
	}
	return false;
}

static bool read_length(struct http_head *into, const char *text, struct http_refusal *ret_why)
{
	size_t len = strlen(text);
	uint64_t n;

	if (len == 0 || strspn(text, "0123456789") != len || (*text == '0' && len > 1))
		return refuse(ret_why, 400, "Content-Length must be a number without zeros before it");
	if (!str_to_number(str_of(text), HTTP_LENGTH_MAX, &n))
		return refuse(ret_why, 413, "Content-Length is over 2^62");
	into->length = (int64_t)n;
	return true;
}

/* Two lengths, or a length beside an encoding, are how requests are smuggled past a proxy. */
static bool read_framing(struct http_head *into, struct http_refusal *ret_why)
{
	const char *encoding = FIELD(into, "Transfer-Encoding"), *length = FIELD(into, "Content-Length");

	if (!encoding && !length)
		return true;
	if ((encoding && length) || COUNT(into, "Transfer-Encoding") + COUNT(into, "Content-Length") > 1)
		return refuse(ret_why, 400,
			"one Content-Length or one Transfer-Encoding says where a body ends, not several");
	if (length)
		return read_length(into, length, ret_why);
	if (into->minor == 0)
		return refuse(ret_why, 400, "HTTP/1.0 knows no Transfer-Encoding");
	if (!*encoding || has_item(into, "Transfer-Encoding", sizeof("Transfer-Encoding") - 1, "chunked") !=
				  !strcasecmp(encoding, "chunked"))
		return refuse(ret_why, 400, "\"chunked\" is the one and last transfer encoding");
	if (strcasecmp(encoding, "chunked") != 0)
		return refuse(ret_why, 501, "the only transfer encoding that is served is \"chunked\"");
	into->length = -1;
	return true;
}

static bool read_meaning(struct http_head *into, struct http_refusal *ret_why)
{
	const char *expect = FIELD(into, "Expect");

	if (!check_host(into, ret_why) || !read_framing(into, ret_why))
		return false;
	into->expects = into->length != 0 && into->minor > 0 && expect && !strcasecmp(expect, "100-continue");
	into->close = into->minor == 0 || has_item(into, "Connection", sizeof("Connection") - 1, "close");
	return true;
}

bool http_head_parse(char *text, size_t len, struct http_head *ret, struct http_refusal *ret_why)
{
	char *at = text, *end = memchr(text, '\n', len);

	ret->fields_len = 0;
	ret->length = 0;
	if (!end || end == at || !parse_first(at, end - 1, ret, ret_why))
		return false;
	for (at = end + 1; at < text + len && *at != '\r'; at = end + 1) {
		end = memchr(at, '\n', (size_t)(text + len - at));
		if (!end || end == at || end[-1] != '\r')
			return refuse(ret_why, 400, "a line of the head ends with CR LF");
		if (!parse_field(at, end - 1, ret, ret_why))
			return false;
	}
	if (text + len - at != 2 || at[1] != '\n')
		return refuse(ret_why, 400, "a carriage return stands only at the end of a line");
	return read_meaning(ret, ret_why);
}
