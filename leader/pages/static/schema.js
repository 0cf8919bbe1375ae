// SPDX-License-Identifier: Apache-2.0
// schema - what fields a kind of entity has, from the leader's own description, and how each is shown and asked for.
import { ApiError, get } from "./api.js";
import { FIELDS } from "./fields.js";

const DEEPEST = 8;

let description = null;

// Once for a page; a leader that has no description answers 404.
export async function loadSchemas() {
	try {
		description = await get("/api/openapi.json");
	} catch (error) {
		if (!(error instanceof ApiError) || error.status !== 404)
			throw error;
		description = null;
	}
}

function resolve(schema, depth = 0) {
	if (!schema || !schema.$ref || depth > DEEPEST)
		return schema;
	const found = schema.$ref.slice(2).split("/").reduce((at, name) => at?.[name.replace(/~1/g, "/").replace(/~0/g, "~")], description);
	return { ...resolve(found, depth + 1), ...schema, $ref: undefined };
}

function bodyOf(kind, method) {
	const paths = description.paths;
	const operation = paths[`/api/${kind}`]?.[method] || paths[`/api/${kind}/{id}`]?.[method] || paths[`/api/${kind}/${kind}`]?.[method];
	return resolve(operation?.requestBody?.content?.["application/json"]?.schema);
}

function described(kind) {
	return description && (resolve(description.components?.schemas?.[kind]) || bodyOf(kind, "post") || bodyOf(kind, "put"));
}

// Types may be lists, alternatives too: the first that is no null counts, and of a time the text.
function plain(schema) {
	const one = resolve(schema) || {};
	const chosen = resolve((one.oneOf || one.anyOf || []).find((each) => resolve(each).type !== "null")) || {};
	const merged = { ...chosen, ...one };
	return { ...merged, type: Array.isArray(merged.type) ? merged.type.find((type) => type !== "null") : merged.type };
}

const SHAPES = [
	["choices", (field, item) => field.type === "array" && item.enum],
	["rows", (field, item) => field.type === "array" && item.type === "object"],
	["texts", (field) => field.type === "array"],
	["pairs", (field) => field.type === "object"],
	["bool", (field) => field.type === "boolean"],
	["time", (field) => field.format === "date-time"],
	["number", (field) => field.type === "integer" || field.type === "number"],
	["choice", (field) => field.enum],
	["secret", (field) => field.writeOnly],
	["text", () => true],
];

function fieldOf(name, schema, required) {
	const field = plain(schema);
	const item = field.type === "array" ? plain(field.items) : {};
	return {
		name,
		shape: SHAPES.find(([, fits]) => fits(field, item))[0],
		about: field.description || "",
		fallback: field.default,
		choices: field.enum || item.enum || [],
		fields: item.properties ? fieldsOf(item) : [],
		required,
		min: field.minimum,
		max: field.maximum,
		minLength: field.minLength,
		maxLength: field.maxLength,
		writeOnly: Boolean(field.writeOnly),
		readOnly: Boolean(field.readOnly),
		fixed: Boolean(field["x-immutable"]),
	};
}

function fieldsOf(schema) {
	const required = schema.required || [];
	return Object.entries(schema.properties || {}).map(([name, each]) => fieldOf(name, each, required.includes(name)));
}

// The fields of a kind in the order of the leader's table; empty: this leader knows no such kind.
export function fieldsOfKind(kind) {
	const schema = description ? described(kind) : FIELDS[kind];
	return schema ? fieldsOf(schema) : [];
}
