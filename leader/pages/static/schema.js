// SPDX-License-Identifier: Apache-2.0
// schema - what fields a kind of entity has, from the leader's own description, and how each is shown and asked for.
import { get } from "./api.js";

const DEEPEST = 8;

// What a body may say beside the fields.
const NO_FIELDS = ["kind", "revision"];

let description = null;

// Once for a page.
export async function loadSchemas() {
	description = await get("/api/openapi.json");
}

function resolve(schema, depth = 0) {
	if (!schema?.$ref || depth > DEEPEST)
		return schema || {};
	const found = schema.$ref.slice(2).split("/").reduce((at, name) => at?.[name], description);
	return { ...resolve(found, depth + 1), ...schema, $ref: undefined };
}

const typesOf = ({ type }) => [type].flat().filter((each) => each && each !== "null");

// Times are texts or seconds.
const isTime = (field) => field.types.includes("string") && field.types.includes("integer");

function plain(schema) {
	const one = resolve(schema);
	const types = typesOf(one);
	return { ...one, types, type: types[0], enum: one.enum?.filter((choice) => choice !== null) };
}

const SHAPES = [
	["choices", (field, item) => field.type === "array" && item.enum],
	["rows", (field, item) => field.type === "array" && item.type === "object"],
	["texts", (field) => field.type === "array"],
	["pairs", (field) => field.type === "object" && field.additionalProperties],
	["json", (field) => field.type === "object"],
	["bool", (field) => field.type === "boolean"],
	["time", isTime],
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
	const properties = Object.entries(schema.properties || {}).filter(([name]) => !NO_FIELDS.includes(name));
	return properties.map(([name, each]) => fieldOf(name, each, required.includes(name)));
}

// The fields of a kind in the order of the leader's table; empty: this leader knows no such kind.
export function fieldsOfKind(kind) {
	const { schemas } = description.components;
	return fieldsOf(resolve(schemas[`${kind}Body`]));
}
