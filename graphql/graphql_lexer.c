/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_lexer.h"

bool graphql_lexer_init(struct graphql_lexer *lexer, struct str text, struct graphql_arena *arena,
	struct graphql_errors *errors)
{
	*lexer = (struct graphql_lexer){ .text = text, .arena = arena, .errors = errors };
	errors->text = text;
	if (text.len > GRAPHQL_TEXT_MAX) {
		graphql_errors_add(errors, GRAPHQL_NOWHERE, "the query has %zu bytes, over the limit of %d",
			text.len, GRAPHQL_TEXT_MAX);
		return false;
	}
	if (!str_is_utf8(text)) {
		graphql_errors_add(errors, GRAPHQL_NOWHERE, "the query is not UTF-8");
		return false;
	}
	if (str_starts(text, "\xef\xbb\xbf"))
		lexer->at = 3;
	return true;
}

static int peek(const struct graphql_lexer *lexer, size_t ahead)
{
	return lexer->at + ahead < lexer->text.len ? (unsigned char)lexer->text.at[lexer->at + ahead] : -1;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool starts_name(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool wrong(struct graphql_lexer *lexer, size_t at, const char *what)
{
	graphql_errors_add(lexer->errors, (uint32_t)at, "%s", what);
	return false;
}

static void skip_nothing(struct graphql_lexer *lexer)
{
	for (int c; (c = peek(lexer, 0)) >= 0; lexer->at++) {
		if (c == '#')
			while (peek(lexer, 1) >= 0 && peek(lexer, 1) != '\n' && peek(lexer, 1) != '\r')
				lexer->at++;
		else if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != ',')
			return;
	}
}

static bool skip_digits(struct graphql_lexer *lexer)
{
	if (!is_digit(peek(lexer, 0)))
		return wrong(lexer, lexer->at, "a digit is missing in this number");
	while (is_digit(peek(lexer, 0)))
		lexer->at++;
	return true;
}

static bool lex_number(struct graphql_lexer *lexer, struct graphql_token *token)
{
	token->kind = GRAPHQL_T_INT;
	lexer->at += peek(lexer, 0) == '-';
	if (peek(lexer, 0) == '0' && is_digit(peek(lexer, 1)))
		return wrong(lexer, lexer->at, "a number does not begin with 0");
	if (!skip_digits(lexer))
		return false;
	if (peek(lexer, 0) == '.') {
		lexer->at++;
		token->kind = GRAPHQL_T_FLOAT;
		if (!skip_digits(lexer))
			return false;
	}
	if (peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E') {
		lexer->at++;
		lexer->at += peek(lexer, 0) == '-' || peek(lexer, 0) == '+';
		token->kind = GRAPHQL_T_FLOAT;
		if (!skip_digits(lexer))
			return false;
	}
	if (peek(lexer, 0) == '.' || starts_name(peek(lexer, 0)))
		return wrong(lexer, lexer->at, "a number ends before this character, and a blank is missing");
	token->text = str_from(lexer->text.at + token->at, lexer->at - token->at);
	return true;
}

/* ---- strings ---- */

static bool lex_hex(struct graphql_lexer *lexer, uint32_t *ret)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 4; i++, lexer->at++) {
		int c = peek(lexer, 0);

		if (is_digit(c))
			value = value << 4 | (uint32_t)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			value = value << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return wrong(lexer, lexer->at, "\\u is followed by four hexadecimal digits");
	}
	*ret = value;
	return true;
}

static char *put_utf8(char *into, uint32_t c)
{
	if (c < 0x80) {
		*into++ = (char)c;
		return into;
	}
	if (c < 0x800) {
		*into++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*into++ = (char)(0xe0 | c >> 12);
		} else {
			*into++ = (char)(0xf0 | c >> 18);
			*into++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*into++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*into++ = (char)(0x80 | (c & 0x3f));
	return into;
}

/* Behind "\u". What an escape makes is never longer than it. */
static bool lex_unicode(struct graphql_lexer *lexer, char **into)
{
	size_t at = lexer->at - 2;
	uint32_t c, low;

	if (!lex_hex(lexer, &c))
		return false;
	if (c >= 0xd800 && c <= 0xdbff && peek(lexer, 0) == '\\' && peek(lexer, 1) == 'u') {
		lexer->at += 2;
		if (!lex_hex(lexer, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return wrong(lexer, at,
				"half a character: the second escape of the pair is no low surrogate");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xd800 && c <= 0xdfff) {
		return wrong(lexer, at, "half a character: surrogates come in pairs");
	}
	*into = put_utf8(*into, c);
	return true;
}

static bool lex_escape(struct graphql_lexer *lexer, char **into)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int c = peek(lexer, 1);
	const char *found = c > 0 ? strchr(from, c) : NULL;

	lexer->at += 2;
	if (c == 'u')
		return lex_unicode(lexer, into);
	if (!found)
		return wrong(lexer, lexer->at - 2,
			"no such escape; there are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u");
	*(*into)++ = to[found - from];
	return true;
}

static bool lex_string(struct graphql_lexer *lexer, struct graphql_token *token)
{
	size_t len = 0;
	char *start, *into;

	for (size_t i = ++lexer->at;
		i < lexer->text.len && lexer->text.at[i] != '"' && lexer->text.at[i] != '\n'; i++) {
		i += lexer->text.at[i] == '\\';
		len = i + 1 - lexer->at;
	}
	start = into = graphql_arena_take(lexer->arena, len + 1);
	for (int c; (c = peek(lexer, 0)) != '"';) {
		if (c < 0 || c == '\n' || c == '\r')
			return wrong(lexer, token->at, "this string does not end on its line");
		if (c < 0x20 && c != '\t')
			return wrong(
				lexer, lexer->at, "a control character; write it as \\u and four digits");
		if (c == '\\') {
			if (!lex_escape(lexer, &into))
				return false;
		} else {
			*into++ = (char)c;
			lexer->at++;
		}
	}
	lexer->at++;
	token->text = str_from(start, (size_t)(into - start));
	return true;
}

/* The next line of a block string, without what ends it. */
static bool block_line(struct str *rest, bool *more, struct str *ret)
{
	size_t len = 0;

	if (!*more)
		return false;
	while (len < rest->len && rest->at[len] != '\n' && rest->at[len] != '\r')
		len++;
	*ret = str_from(rest->at, len);
	*more = len < rest->len;
	if (*more) {
		len += rest->at[len] == '\r' && len + 1 < rest->len && rest->at[len + 1] == '\n' ? 2 : 1;
		*rest = str_from(rest->at + len, rest->len - len);
	}
	return true;
}

static size_t indent_of(struct str line)
{
	size_t indent = 0;

	while (indent < line.len && (line.at[indent] == ' ' || line.at[indent] == '\t'))
		indent++;
	return indent;
}

/* BlockStringValue(): the indent that all lines but the first share goes, and blank lines at both ends. */
static struct str dedent(struct graphql_lexer *lexer, struct str raw)
{
	char *start = graphql_arena_take(lexer->arena, raw.len + 2), *into = start, *end = start;
	size_t common = SIZE_MAX;
	bool more = true, begun = false;
	unsigned number = 0;
	struct str line;

	for (struct str rest = raw; block_line(&rest, &more, &line); number++)
		if (number && indent_of(line) < line.len && indent_of(line) < common)
			common = indent_of(line);
	more = true;
	number = 0;
	for (struct str rest = raw; block_line(&rest, &more, &line); number++) {
		size_t cut = number == 0 || common == SIZE_MAX ? 0 : common < line.len ? common : line.len;
		bool blank = indent_of(line) == line.len;

		if (blank && !begun)
			continue;
		if (begun)
			*into++ = '\n';
		begun = true;
		if (line.len > cut)
			memcpy(into, line.at + cut, line.len - cut);
		into += line.len - cut;
		if (!blank)
			end = into;
	}
	return str_from(start, (size_t)(end - start));
}

static bool lex_block(struct graphql_lexer *lexer, struct graphql_token *token)
{
	char *raw, *into;
	size_t start = lexer->at += 3, end = start;

	while (end < lexer->text.len &&
		!str_starts(str_from(lexer->text.at + end, lexer->text.len - end), "\"\"\""))
		end += str_starts(str_from(lexer->text.at + end, lexer->text.len - end), "\\\"\"\"") ? 4 : 1;
	if (end >= lexer->text.len)
		return wrong(lexer, token->at, "this string does not end: \"\"\" is missing");
	raw = into = graphql_arena_take(lexer->arena, end - start + 1);
	while (lexer->at < end) {
		int c = peek(lexer, 0);

		if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
			return wrong(lexer, lexer->at, "a control character");
		if (c == '\\' && peek(lexer, 1) == '"' && peek(lexer, 2) == '"' && peek(lexer, 3) == '"') {
			lexer->at++;
			for (unsigned i = 0; i < 3; i++, lexer->at++)
				*into++ = '"';
		} else {
			*into++ = (char)c;
			lexer->at++;
		}
	}
	lexer->at += 3;
	token->text = dedent(lexer, str_from(raw, (size_t)(into - raw)));
	return true;
}

/* ---- all ---- */

static bool lex_name(struct graphql_lexer *lexer, struct graphql_token *token)
{
	while (starts_name(peek(lexer, 0)) || is_digit(peek(lexer, 0)))
		lexer->at++;
	token->kind = GRAPHQL_T_NAME;
	token->text = str_from(lexer->text.at + token->at, lexer->at - token->at);
	return true;
}

static bool lex_mark(struct graphql_lexer *lexer, struct graphql_token *token, int c)
{
	if (c == '.' && peek(lexer, 1) == '.' && peek(lexer, 2) == '.') {
		token->kind = GRAPHQL_T_SPREAD;
		token->text = str_from(lexer->text.at + lexer->at, 3);
		lexer->at += 3;
		return true;
	}
	if (c > 0 && strchr("!$&():=@[]{|}", c)) {
		token->kind = GRAPHQL_T_MARK;
		token->mark = (char)c;
		token->text = str_from(lexer->text.at + lexer->at, 1);
		lexer->at++;
		return true;
	}
	if (c > 0x20 && c < 0x7f)
		graphql_errors_add(lexer->errors, token->at, "a query has no character '%c' here", c);
	else
		graphql_errors_add(lexer->errors, token->at,
			"a query has no such character here (byte 0x%02x)", (unsigned)c);
	return false;
}

bool graphql_lexer_next(struct graphql_lexer *lexer, struct graphql_token *token)
{
	int c;

	skip_nothing(lexer);
	*token = (struct graphql_token){ .at = (uint32_t)lexer->at };
	c = peek(lexer, 0);
	if (c < 0)
		return true;
	if (++lexer->tokens > GRAPHQL_TOKENS_MAX) {
		graphql_errors_add(lexer->errors, token->at, "the query has more than %d words and marks",
			GRAPHQL_TOKENS_MAX);
		return false;
	}
	if (starts_name(c))
		return lex_name(lexer, token);
	if (is_digit(c) || c == '-')
		return lex_number(lexer, token);
	if (c != '"')
		return lex_mark(lexer, token, c);
	token->kind = GRAPHQL_T_STRING;
	return peek(lexer, 1) == '"' && peek(lexer, 2) == '"' ? lex_block(lexer, token)
							      : lex_string(lexer, token);
}
