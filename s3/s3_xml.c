/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_xml.h"

#define ESCAPE_MAX 10 /* "#x0010FFFF" */

static bool find(struct str s, const char *text, size_t *ret_at)
{
	const char *at = s.len ? memmem(s.at, s.len, text, strlen(text)) : NULL;

	if (!at)
		return false;
	*ret_at = (size_t)(at - s.at);
	return true;
}

static void advance(struct str *s, size_t n)
{
	s->at += n;
	s->len -= n;
}

/* s begins behind a "<" with "!--", "![CDATA[", "!" or "?": moves behind its end. */
static void skip_special(struct str *s)
{
	const char *end = ">";
	size_t at = 0;

	if (str_starts(*s, "!--"))
		end = "-->";
	else if (str_starts(*s, "![CDATA["))
		end = "]]>";
	else if (str_starts(*s, "?"))
		end = "?>";
	advance(s, find(*s, end, &at) ? at + strlen(end) : s->len);
}

/* s begins behind the "<" of an opening tag: its name; s moves behind its ">". */
static bool take_tag(struct str *s, struct str *ret_name, bool *ret_empty)
{
	size_t end = 0, len = 0;

	if (!find(*s, ">", &end))
		return false;
	while (len < end && !memchr(" \t\r\n/", s->at[len], 5))
		len++;
	*ret_name = str_from(s->at, len);
	*ret_empty = end > 0 && s->at[end - 1] == '/';
	advance(s, end + 1);
	return true;
}

static bool take_text(struct str *s, struct str name, struct str *ret_raw)
{
	struct str rest = *s;
	size_t end = 0;
	struct str raw, tag;
	bool empty;

	if (!find(rest, "<", &end))
		return false;
	raw = str_from(rest.at, end);
	advance(&rest, end + 1);
	if (!str_skip(&rest, "/") || !take_tag(&rest, &tag, &empty) || !str_equal(tag, name))
		return false;
	*ret_raw = raw;
	*s = rest;
	return true;
}

/* Moves *rest behind the next opening tag of that name. */
static bool next_tag(struct str *rest, const char *name, struct str *ret_tag, bool *ret_empty)
{
	size_t at;

	while (find(*rest, "<", &at)) {
		advance(rest, at + 1);
		if (str_starts(*rest, "!") || str_starts(*rest, "?")) {
			skip_special(rest);
			continue;
		}
		if (!take_tag(rest, ret_tag, ret_empty))
			return false;
		if (str_is(*ret_tag, name))
			return true;
	}
	return false;
}

bool s3_xml_next(struct str *xml, const char *name, struct str *ret_raw)
{
	struct str rest = *xml;
	struct str tag;
	bool empty;

	while (next_tag(&rest, name, &tag, &empty)) {
		if (empty)
			*ret_raw = str_from(rest.at, 0);
		else if (!take_text(&rest, tag, ret_raw))
			continue;
		*xml = rest;
		return true;
	}
	return false;
}

/* Moves *s behind the next closing tag of that name. */
static bool skip_to_end(struct str *s, struct str name, struct str *ret_inner)
{
	const char *begin = s->at;
	struct str tag;
	size_t at;
	bool empty;

	while (find(*s, "<", &at)) {
		const char *end = s->at + at;

		advance(s, at + 1);
		if (str_starts(*s, "!") || str_starts(*s, "?")) {
			skip_special(s);
			continue;
		}
		if (!str_skip(s, "/"))
			continue;
		if (!take_tag(s, &tag, &empty))
			return false;
		if (str_equal(tag, name)) {
			*ret_inner = str_from(begin, (size_t)(end - begin));
			return true;
		}
	}
	return false;
}

bool s3_xml_next_block(struct str *xml, const char *name, struct str *ret_inner)
{
	struct str rest = *xml;
	struct str tag;
	bool empty = true;

	while (empty)
		if (!next_tag(&rest, name, &tag, &empty))
			return false;
	if (!skip_to_end(&rest, tag, ret_inner))
		return false;
	*xml = rest;
	return true;
}

static void put_utf8(struct buf *into, uint32_t c)
{
	if (c < 0x80) {
		buf_putc(into, (char)c);
	} else if (c < 0x800) {
		buf_putc(into, (char)(0xc0 | c >> 6));
		buf_putc(into, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_putc(into, (char)(0xe0 | c >> 12));
		buf_putc(into, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_putc(into, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_putc(into, (char)(0xf0 | c >> 18));
		buf_putc(into, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_putc(into, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_putc(into, (char)(0x80 | (c & 0x3f)));
	}
}

static bool hex_number(struct str s, uint32_t *ret)
{
	uint32_t n = 0;

	if (!s.len || s.len > 8)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		const char *digits = "0123456789abcdefABCDEF";
		const char *at = s.at[i] ? strchr(digits, s.at[i]) : NULL;

		if (!at)
			return false;
		n = n << 4 | (uint32_t)(at - digits > 15 ? at - digits - 6 : at - digits);
	}
	*ret = n;
	return true;
}

/* The number of a character, "#38" or "#x26". */
static bool put_number(struct str s, struct buf *into)
{
	uint64_t wide = 0;
	uint32_t c = 0;

	if (!str_skip(&s, "#"))
		return false;
	if (str_skip(&s, "x")) {
		if (!hex_number(s, &c))
			return false;
	} else {
		if (!str_to_number(s, 0x10ffff, &wide))
			return false;
		c = (uint32_t)wide;
	}
	if (!c || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	put_utf8(into, c);
	return true;
}

static bool put_escape(struct str name, struct buf *into)
{
	static const struct {
		const char *name;
		char c;
	} known[] = {
		{ "amp", '&' },
		{ "lt", '<' },
		{ "gt", '>' },
		{ "quot", '"' },
		{ "apos", '\'' },
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (str_is(name, known[i].name)) {
			buf_putc(into, known[i].c);
			return true;
		}
	return put_number(name, into);
}

bool s3_xml_unescape(struct str raw, struct buf *into)
{
	while (raw.len) {
		struct str plain, name;
		size_t at = 0;

		if (!find(raw, "&", &at))
			at = raw.len;
		plain = str_from(raw.at, at);
		if (at && memchr(plain.at, '\0', at))
			return false;
		buf_add(into, plain);
		advance(&raw, at);
		if (!raw.len)
			break;
		advance(&raw, 1);
		if (!str_until(&raw, ';', &name) || name.len > ESCAPE_MAX || !put_escape(name, into))
			return false;
	}
	return !into->failed;
}

bool s3_xml_find(struct str xml, const char *name, struct buf *into)
{
	struct str raw;

	return s3_xml_next(&xml, name, &raw) && s3_xml_unescape(raw, into);
}

bool s3_xml_is(struct str xml, const char *name)
{
	struct str tag;
	size_t at;
	bool empty;

	while (find(xml, "<", &at)) {
		advance(&xml, at + 1);
		if (!str_starts(xml, "!") && !str_starts(xml, "?"))
			return take_tag(&xml, &tag, &empty) && str_is(tag, name);
		skip_special(&xml);
	}
	return false;
}

void s3_xml_escape(struct buf *into, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] == '&')
			buf_puts(into, "&amp;");
		else if (s.at[i] == '<')
			buf_puts(into, "&lt;");
		else if (s.at[i] == '>')
			buf_puts(into, "&gt;");
		else if (s.at[i] == '"')
			buf_puts(into, "&quot;");
		else
			buf_putc(into, s.at[i]);
	}
}
