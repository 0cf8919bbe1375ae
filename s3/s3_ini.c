/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_ini.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "[profile  dev]  # mine" is "profile dev" for who compares word by word. */
static bool read_section(struct str line, struct str *ret)
{
	return str_skip(&line, "[") && str_until(&line, ']', ret);
}

static struct str take_word(struct str *text)
{
	struct str word;

	*text = str_trim(*text);
	word = str_from(text->at, 0);
	while (word.len < text->len && !is_blank(text->at[word.len]))
		word.len++;
	*text = str_from(text->at + word.len, text->len - word.len);
	return word;
}

static bool is_section(struct str found, struct str wanted)
{
	while (str_trim(found).len && str_trim(wanted).len)
		if (!str_equal(take_word(&found), take_word(&wanted)))
			return false;
	return !str_trim(found).len && !str_trim(wanted).len;
}

static struct str without_comment(struct str value)
{
	for (size_t i = 1; i < value.len; i++)
		if ((value.at[i] == '#' || value.at[i] == ';') && is_blank(value.at[i - 1]))
			return str_trim(str_from(value.at, i));
	return str_trim(value);
}

static bool next_line(struct str *text, struct str *ret)
{
	const char *end;

	if (!text->len)
		return false;
	end = memchr(text->at, '\n', text->len);
	*ret = str_from(text->at, end ? (size_t)(end - text->at) : text->len);
	*text = str_from(text->at + ret->len + (end != NULL), text->len - ret->len - (end != NULL));
	if (str_ends(*ret, "\r"))
		ret->len--;
	return true;
}

/* key NULL: is the section there? */
static bool look(struct str text, struct str section, const char *key, struct str *ret)
{
	struct str line, name, value;
	bool inside = false, found = false;

	while (next_line(&text, &line)) {
		if (!line.len || line.at[0] == '#' || line.at[0] == ';' || is_blank(line.at[0]))
			continue;
		if (read_section(line, &name)) {
			inside = is_section(name, section);
			found = found || (inside && !key);
		} else if (inside && key && str_until(&line, '=', &name) &&
			   str_is_nocase(str_trim(name), key)) {
			value = without_comment(line);
			found = true;
			*ret = value;
		}
	}
	return found;
}

bool s3_ini_find(struct str text, struct str section, const char *key, struct str *ret)
{
	return look(text, section, key, ret);
}

bool s3_ini_has(struct str text, struct str section)
{
	struct str none;

	return look(text, section, NULL, &none);
}
