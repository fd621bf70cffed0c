// What the vendors' own SDKs make of our stand-in: one JSON line for each SDK and mode. `node sdks.mjs http://host:port`
//
// Without this the stand-in would only prove that we agree with ourselves.

import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';

const base = process.argv[2];
const modes = process.argv.slice(3);
const anthropic = new Anthropic({ apiKey: 'test-key', baseURL: base, maxRetries: 0 });
const openai = new OpenAI({ apiKey: 'test-key', baseURL: `${base}/v1`, maxRetries: 0 });
const google = new GoogleGenAI({ apiKey: 'test-key', httpOptions: { baseUrl: base } });

const readers = {
  async anthropic(prompt) {
    const stream = anthropic.messages.stream({
      model: 'claude-sonnet-5-5', max_tokens: 100, messages: [{ role: 'user', content: prompt }],
    });
    const message = await stream.finalMessage();
    const text = message.content.map((block) => block.text ?? '').join('');
    return { text, stop: message.stop_reason, input: message.usage.input_tokens, output: message.usage.output_tokens };
  },
  async chat(prompt) {
    const stream = await openai.chat.completions.create({
      model: 'm', stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: prompt }],
    });
    const read = { text: '', stop: null };
    for await (const chunk of stream) {
      read.text += chunk.choices[0]?.delta?.content ?? '';
      read.stop = chunk.choices[0]?.finish_reason ?? read.stop;
      if (chunk.usage) Object.assign(read, { input: chunk.usage.prompt_tokens, output: chunk.usage.completion_tokens });
    }
    return read;
  },
  async responses(prompt) {
    const stream = await openai.responses.create({ model: 'gpt-6.1-sol', stream: true, input: prompt });
    const read = { text: '', stop: null };
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') read.text += event.delta;
      if (event.type === 'response.completed' || event.type === 'response.incomplete') {
        const { status, usage } = event.response;
        Object.assign(read, { stop: status, input: usage.input_tokens, output: usage.output_tokens });
      }
    }
    return read;
  },
  async gemini(prompt) {
    const stream = await google.models.generateContentStream({ model: 'gemini-4-argon', contents: prompt });
    const read = { text: '', stop: null };
    for await (const chunk of stream) {
      read.text += chunk.text ?? '';
      read.stop = chunk.candidates?.[0]?.finishReason ?? read.stop;
      const usage = chunk.usageMetadata;
      if (usage) Object.assign(read, { input: usage.promptTokenCount, output: usage.candidatesTokenCount ?? 0 });
    }
    return read;
  },
};

for (const mode of modes) {
  for (const [sdk, read] of Object.entries(readers)) {
    let outcome;
    try {
      outcome = await read(`mode:${mode}`);
    } catch (error) {
      outcome = { error: error.constructor.name, message: String(error.message).slice(0, 80) };
    }
    console.log(JSON.stringify({ sdk, mode, ...outcome }));
  }
}
process.exit(0);
