'use strict';
// Between the GraphQL protocol of Prisma's Python client and the JSON protocol of the engine.
const graphql = require('graphql');
const lossless = require('lossless-json');

const OPERATION = /^(findUnique|findFirst|findMany|createOne|createMany|updateOne|updateMany|upsertOne|deleteOne|deleteMany|aggregate|groupBy)(.+)$/;
const RAW = new Set(['queryRaw', 'executeRaw']);
// Where a filter or an update of a Json field holds a value, not more structure.
const JSON_OPERATORS = new Set(['equals', 'not', 'set', 'push', 'array_contains', 'array_starts_with', 'array_ends_with', 'lt', 'lte', 'gt', 'gte']);
// Arguments that name a model's fields.
const FIELD_ARGUMENTS = ['data', 'where', 'create', 'update', 'cursor', 'having'];

/** The fields of each model of a Prisma schema: {Model: {field: type}}. */
function readModels(schema) {
  const models = {};
  for (const [, model, body] of schema.matchAll(/^model\s+(\w+)\s*\{([\s\S]*?)^\}/gm)) {
    models[model] = Object.fromEntries([...body.matchAll(/^\s*(\w+)\s+(\w+)/gm)].map(([, field, type]) => [field, type]));
  }
  return models;
}

/** A query in GraphQL as the JSON protocol has it: {body}, and what fromJson needs to answer it: {alias, raw}. */
function toJson(text, models) {
  const field = graphql.parse(text, { noLocation: true }).definitions[0].selectionSet.selections[0];
  const alias = (field.alias ?? field.name).value;
  const name = field.name.value;
  const query = { arguments: argumentsOf(field), selection: selectionOf(field) };
  if (RAW.has(name)) return { alias, raw: true, body: { action: name, query } };
  let [, action, modelName] = OPERATION.exec(name) ?? [];
  if (!action) throw new Error(`${name}: the stand-in for Prisma's query engine knows no such operation`);
  if (modelName.endsWith('OrThrow')) {
    action += 'OrThrow';
    modelName = modelName.slice(0, -'OrThrow'.length);
  }
  for (const key of FIELD_ARGUMENTS) if (key in query.arguments) query.arguments[key] = tagJson(modelName, query.arguments[key], models);
  return { alias, raw: false, body: { modelName, action, query } };
}

function argumentsOf(field) {
  return Object.fromEntries((field.arguments ?? []).map((argument) => [argument.name.value, valueOf(argument.value)]));
}

function selectionOf(field) {
  return Object.fromEntries((field.selectionSet?.selections ?? []).map((inner) => [
    inner.name.value,
    inner.selectionSet || inner.arguments?.length ? { arguments: argumentsOf(inner), selection: selectionOf(inner) } : true,
  ]));
}

function valueOf(node) {
  switch (node.kind) {
    case 'StringValue':
    case 'EnumValue':
    case 'BooleanValue':
      return node.value;
    case 'NullValue':
      return null;
    case 'IntValue':
      return Number.isSafeInteger(Number(node.value)) ? Number(node.value) : { $type: 'BigInt', value: node.value };
    case 'FloatValue':
      return Number(node.value);
    case 'ListValue':
      return node.values.map(valueOf);
    case 'ObjectValue':
      return Object.fromEntries(node.fields.map((field) => [field.name.value, valueOf(field.value)]));
    default:
      throw new Error(`${node.kind}: the stand-in for Prisma's query engine reads no such GraphQL`);
  }
}

/** Marks what goes into Json fields: untagged, a string is JSON text in the GraphQL protocol and a JSON string in the other. */
function tagJson(model, value, models) {
  if (Array.isArray(value)) return value.map((item) => tagJson(model, item, models));
  if (!isObject(value) || value.$type) return value;
  const fields = models[model] ?? {};
  const tagged = Object.entries(value).map(([key, inner]) => {
    const type = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (type === 'Json') return [key, tagField(inner)];
    if (type && !models[type]) return [key, inner]; // a scalar
    return [key, tagJson(type ?? model, inner, models)]; // a relation; or AND, OR, NOT, compound keys and what wraps nested writes
  });
  return Object.fromEntries(tagged);
}

function tagField(value) {
  if (!isObject(value)) return tagText(value);
  return Object.fromEntries(Object.entries(value).map(([operator, inner]) => [operator, JSON_OPERATORS.has(operator) ? tagText(inner) : inner]));
}

function tagText(value) {
  if (Array.isArray(value)) return value.map(tagText);
  return typeof value === 'string' ? { $type: 'Json', value } : value;
}

/** The engine's result as the GraphQL protocol has it: bare values. */
function fromJson(result, { alias, raw }) {
  const [value] = Object.values(result.data);
  // The rows of a raw query keep their tags: the client reads them.
  const bare = raw ? (isObject(value) && typeof value.$type === 'string' ? value.value : value) : untag(value);
  return { data: { [alias]: bare } };
}

function untag(value) {
  if (Array.isArray(value)) return value.map(untag);
  if (!isObject(value) || value.isLosslessNumber) return value;
  if (typeof value.$type === 'string' && 'value' in value) return value.value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, untag(inner)]));
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** JSON read so that 3.0 stays what it is: Python tells it from 3. Plain JSON is faster where there is none. */
const parse = (text) => (/\d\.0[,}\]]/.test(text) ? lossless.parse(text) : JSON.parse(text));

const stringify = lossless.stringify;

module.exports = { readModels, toJson, fromJson, parse, stringify };
