// Pictures on their way to a model: read, made smaller where they are larger than the server takes, and encoded.

import type { ImageData, ImageType } from "../../protocol.ts";

/** What the server takes, and so do the vendors. */
const TYPES: readonly string[] = ["image/png", "image/jpeg", "image/webp", "image/gif"] satisfies ImageType[];
export const ACCEPTED = TYPES.join(",");
/** Vendors scale larger pictures down to about this; more only costs. */
const EDGE_MAX = 1568;
const QUALITY = 0.85;

/** A picture that is attached to a prompt and not sent yet. */
export interface Attachment {
  name: string;
  /** As the browser shows it. */
  address: string;
  image: ImageData;
}

/** Fails with an `Error` whose message is a sentence for a person. */
export async function attach(file: File, sizeBytesMax: number): Promise<Attachment> {
  if (!TYPES.includes(file.type))
    throw new Error(`${file.name || "That"} is no PNG, JPEG, WebP or GIF picture.`);
  const blob = file.size <= sizeBytesMax ? file : await smaller(file);
  if (blob.size > sizeBytesMax)
    throw new Error(`${file.name || "The picture"} is too large, even made smaller.`);
  const image = {
    media_type: blob.type as ImageType,
    data: base64(new Uint8Array(await blob.arrayBuffer())),
  };
  return { name: file.name || "picture", address: `data:${image.media_type};base64,${image.data}`, image };
}

/** How long the command's frame gets by a picture, in bytes. */
export function encodedSize(attachments: readonly Attachment[]): number {
  return attachments.reduce((sum, { image }) => sum + image.data.length + 64, 0);
}

async function smaller(file: Blob): Promise<Blob> {
  const picture = await createImageBitmap(file).catch(() => {
    throw new Error("The browser cannot read this picture.");
  });
  const scale = Math.min(1, EDGE_MAX / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve, reject) => {
    const done = (blob: Blob | null) =>
      blob ? resolve(blob) : reject(new Error("The picture cannot be made smaller."));
    canvas.toBlob(done, "image/jpeg", QUALITY);
  });
}

/** In pieces: a call has a limit of arguments. */
function base64(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8_192)
    binary += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(binary);
}

/** The address of a page to imitate, as the server takes it; `undefined`: it is none. */
export function pageAddress(text: string): string | undefined {
  const spelled = /^[a-z][a-z0-9+.-]*:/i.test(text.trim()) ? text.trim() : `https://${text.trim()}`;
  try {
    const url = new URL(spelled);
    const isPage = (url.protocol === "https:" || url.protocol === "http:") && url.hostname.includes(".");
    return isPage ? url.href : undefined;
  } catch {
    return undefined;
  }
}
