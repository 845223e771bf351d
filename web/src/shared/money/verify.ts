import { ok, type Schemas } from "../api/client";

type Verification = Schemas["VerificationOut"];

/** Have the journal checked; `tell` hears how far it is, and at last what was found. Throws an `ApiError`. */
export async function verifyJournal(tell: (state: Verification) => void): Promise<void> {
  const body = await ok(
    fetch("/api/v1/journal/verification").then(async (response) =>
      response.ok ? { data: response.body, response } : { error: await response.json(), response },
    ),
  );
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const chunk = await reader?.read();
    if (!chunk || chunk.done) return;
    const lines = (rest + chunk.value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line) tell(JSON.parse(line) as Verification);
  }
}
