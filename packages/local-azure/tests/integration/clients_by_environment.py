"""A program that knows nothing but its environment, and asks with every client that takes all from there."""

import asyncio
import json
import os

from azure.identity import DefaultAzureCredential
from azure.identity.aio import DefaultAzureCredential as AsyncCredential
from azure.identity.aio import get_bearer_token_provider
from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobs
from openai import AsyncOpenAI


async def main() -> list[str]:
    """Return the names of the clients that got through."""
    account = os.environ["AZURE_STORAGE_ACCOUNT"]
    async with AsyncCredential() as credential:
        async with AsyncBlobs(account, credential=credential) as blobs:
            await blobs.get_blob_client("files", "aio").upload_blob(b"content")
        token = get_bearer_token_provider(credential, "https://cognitiveservices.azure.com/.default")
        url = f"{os.environ['AZURE_OPENAI_ENDPOINT']}/openai/v1/"
        async with AsyncOpenAI(base_url=url, api_key=token, max_retries=0) as model:
            await model.chat.completions.create(
                model=os.environ["AZURE_OPENAI_DEPLOYMENT_NAME"], messages=[{"role": "user", "content": "Hello"}]
            )
    with DefaultAzureCredential() as sync, BlobServiceClient(account, credential=sync) as sync_blobs:
        sync_blobs.get_blob_client("files", "sync").upload_blob(b"content")
    return ["aio blob", "blob", "openai"]


print(json.dumps(asyncio.run(main())))  # noqa: T201  # its answer
